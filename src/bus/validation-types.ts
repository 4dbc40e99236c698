/** Which values does a bus compare with schemas, and with whose? Types only. */

/** Which values a bus compares with their schemas. */
export interface BusValidation {
  /** What this process sends: input of calls, output of handlers, events. Default true. */
  readonly outgoing?: boolean | undefined
  /**
   * What this process receives: input for handlers, answers, events. Default true. With false,
   * values are given as they came: the schemas transform nothing.
   */
  readonly incoming?: boolean | undefined
  /**
   * Whether values that this process exchanges with others are also checked with the schema
   * documents that the other services have at the server: input of calls, answers, data of errors,
   * events. Of several services one has to take the value. What is not checked is reported once
   * (`SCHEMA_UNCHECKED`). Whoever may publish documents can have values refused. It needs the
   * package `@cfworker/json-schema`. Default false: both sides have the API in code.
   */
  readonly remote?: boolean | undefined
  /**
   * Whether the regular expressions of these documents are run, for which others can write some
   * that run for hours. Default false: `pattern` and `patternProperties` are not checked.
   */
  readonly trustPatterns?: boolean | undefined
}
