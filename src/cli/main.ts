#!/usr/bin/env node
/** The first file of the command line: what makes the start of all others faster. */
import { keepCompiled } from './compile-cache.ts'

keepCompiled()
await import('./command-line.ts')
