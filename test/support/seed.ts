/**
 * Property tests draw the same values in every run; `FC_SEED=n npm test` draws others, and a soak
 * draws many.
 */
import fc from 'fast-check'

fc.configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 20261121) })
