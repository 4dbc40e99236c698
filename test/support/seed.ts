/** Property tests take the same path in every run; `FC_SEED=n npm test` takes another, and a soak takes many. */
import fc from 'fast-check'

fc.configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 20261121) })
