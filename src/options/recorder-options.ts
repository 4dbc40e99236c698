/**
 * Which options has the flight recorder, which keeps the last inputs of a loop?
 */

/** The options of the flight recorder. */
export interface RecorderOptions {
  /**
   * How many inputs are kept, 1 to 10,000,000. Each packet and each request of an input counts as
   * one.
   */
  readonly inputs: number
  /**
   * Whether a recording contains payloads and other bytes, and not only their lengths. Default
   * false.
   */
  readonly bytes?: boolean | undefined
  /** Called once, with the recording, if the loop ends with an error. */
  readonly onFault?: ((recording: string) => void) | undefined
}
