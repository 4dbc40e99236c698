/**
 * Event streams beside @smithy/core at the same work, which is the floor here: messages with five
 * headers, and streams in chunks of 64 KiB and of one byte. For 1 MiB, CRC32 alone is another floor.
 */
import { type Context, type Metric, RATE, type Row, type Table } from './row.ts'

const MEGABYTES: Metric = { name: 'megabytes', label: 'MB/s', better: 'more' }

function work(
  { scripts, scale }: Context,
  mode: 'encode' | 'decode' | 'stream' | 'bytes',
  size: number,
  most: number,
): Row {
  const count = Math.max(10, Math.round(most * scale))
  const verbs = {
    encode: 'encode',
    decode: 'decode',
    stream: 'decode a stream, chunks of 64 KiB',
    bytes: 'decode a stream, one byte at a time',
  }
  return {
    name: `${verbs[mode]}, ${size} B, 5 headers (floor: @smithy/core)`,
    server: async () => ({ port: 0, stop() {} }),
    programs: [
      { name: 'it-mqtt', script: scripts.get('event-stream')!, args: () => [mode, size, count] },
      {
        name: 'floor',
        script: scripts.get('event-stream-smithy')!,
        args: () => [mode, size, mode === 'bytes' ? Math.max(10, Math.round(count / 10)) : count],
      },
    ],
    metrics: [mode === 'encode' || mode === 'decode' ? RATE : MEGABYTES],
  }
}

/** Decoding beside the checksum alone, which every decoder must compute. */
function checksum({ scripts, scale }: Context, size: number, most: number): Row {
  const count = Math.max(10, Math.round(most * scale))
  const script = scripts.get('event-stream')!
  return {
    name: `decode, ${size} B, 5 headers (floor: CRC32 alone)`,
    server: async () => ({ port: 0, stop() {} }),
    programs: [
      { name: 'it-mqtt', script, args: () => ['decode', size, count] },
      { name: 'floor', script, args: () => ['checksum', size, count] },
    ],
    metrics: [RATE],
  }
}

export function eventStream(context: Context): Table {
  return {
    title: 'Event streams, beside @smithy/core',
    rows: [
      ...[64, 1024].flatMap((size) => [
        work(context, 'encode', size, 500_000),
        work(context, 'decode', size, 500_000),
      ]),
      work(context, 'decode', 1_048_576, 2000),
      checksum(context, 1_048_576, 2000),
      work(context, 'stream', 64, 500_000),
      work(context, 'stream', 1_048_576, 1000),
      work(context, 'bytes', 1024, 20_000),
    ],
  }
}
