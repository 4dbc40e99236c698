import { NO_BYTES } from '#bytes'

/** Whether src has the files of Node below it, and not those of a browser (vitest.web.config.ts). */
export const hasNodeFlavour = Buffer.isBuffer(NO_BYTES)
