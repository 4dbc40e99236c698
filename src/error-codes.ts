/**
 * Every code of an error or a warning: when it occurs, and what to do about it. Types only.
 *
 * Programs test `error.code`. Codes are stable: they are added, and neither renamed nor removed. If
 * a transport fails with a code of Node (`ECONNREFUSED`, `ENOTFOUND`, `CERT_HAS_EXPIRED` …), the
 * error keeps that code. In a browser the code is `WS_` and the close code of the WebSocket, such
 * as `WS_1006`.
 */

/** The codes of errors. The type of each is the class, or the classes, of the error that has it. */
export interface ErrorCodes {
  // Mistakes of the caller.

  /** When an option, a request, a control or an argument cannot be used; the message names it.
   *  What to do: correct the value that the message names. */
  USAGE: 'UsageError'
  /** When `reauthenticate` is called on a loop without an authenticator [MQTT-4.12.0-7].
   *  What to do: give the option `authenticator`. */
  NO_AUTHENTICATOR: 'UsageError'
  /** When the URL is `ws:` or `wss:` and the package `ws` is not installed, or a runtime without
   *  Node's modules has no `WebSocket`.
   *  What to do: `npm install ws@8`, or open the connection with the option `transport`. */
  NO_WEBSOCKET: 'UsageError'
  /** When the URL or an option needs sockets (`mqtt:`, `mqtts:`, `unix:`, `tls`, `family`,
   *  `localAddress`, `lookup`) and the runtime has none, as in a page.
   *  What to do: give the URL of the server's WebSocket listener, or the option `transport`. */
  NO_SOCKETS: 'UsageError'
  /** When `headers` are given and the runtime's WebSocket takes none, as in a page.
   *  What to do: use `username` and `password`, or the query of the URL. */
  NO_HEADERS: 'UsageError'
  /** When something is to be kept on disk and the package `classic-level` is not installed; in a
   *  browser, when there is no IndexedDB or there are no Web Locks.
   *  What to do: `npm install classic-level@3`; load the page over `https:` or from `localhost`. */
  NO_STORAGE_ENGINE: 'UsageError'
  /** When the permissions of the process (`node --permission`, `deno run`) forbid loading the
   *  package `ws` or `classic-level`.
   *  What to do: give the runtime the flag that the message names. */
  PACKAGE_FORBIDDEN: 'UsageError'
  /** When the package `ws` or `classic-level` is installed and cannot be loaded.
   *  What to do: see `cause`; install the package again, for this system. */
  PACKAGE_FAILED: 'UsageError'
  /** When something reads or writes a file, or a configuration names one, in a runtime without
   *  files, such as a browser.
   *  What to do: push to a `spool`, give settings as an object, or run this part on Node. */
  NO_FILES: 'UsageError'
  /** When an iterator of `transitions()` has 1,024 transitions that were not taken.
   *  What to do: take them faster, or call `transitions()` again and read `state`. */
  WATCHER_FELL_BEHIND: 'UsageError'
  /** When a request with this key failed before its session was saved, and its stream gives it
   *  again.
   *  What to do: look up the first failure; give the request a new key to send it again. */
  FAILED_EARLIER: 'UsageError'
  /** When a line of a file of requests cannot be used; the message has file and line number.
   *  What to do: correct the line, or take such lines with `onInvalid`. */
  INVALID_LINE: 'UsageError'
  /** When a checkpoint belongs to another file than the one at the given path.
   *  What to do: give the file that the checkpoint names, or remove the checkpoint. */
  FILE_GONE: 'UsageError'
  /** When a connection ended because `reconnect` was called. It appears only as the `reason` of a
   *  transition.
   *  What to do: nothing. */
  RECONNECT: 'UsageError'
  /** When the loop was ended by an error of the user's code, or by its `signal`. It appears only
   *  as the `reason` of a transition.
   *  What to do: see the error that `next()` rejected with. */
  RETHROWN: 'UsageError'
  /** When a request was cancelled by its `signal`. The outcome has the signal's own reason; the
   *  code appears only in recordings.
   *  What to do: nothing. */
  CANCELLED: 'UsageError'

  /** When the parameters of a topic template cannot be filled in: one is missing, empty, unknown,
   *  or holds `/`, `+`, `#` or U+0000. The message names it.
   *  What to do: correct the parameter that the message names. */
  TOPIC_PARAMS: 'UsageError'
  /** When a value does not become a payload (UsageError), or a received payload does not become a
   *  value (ProtocolError): the codec cannot convert it, or the schema refuses it. `issues` says
   *  where.
   *  What to do: correct the value, or the publisher of the message. */
  INVALID_PAYLOAD: 'UsageError' | 'ProtocolError'

  // The client (`it-mqtt/client`).

  /** When a promise of a client took longer than its time-out.
   *  What to do: see whether there is a connection; allow more time, or call again. */
  TIMEOUT: 'ConnectionError'
  /** When a client or an event stream was called after its end (UsageError), or ended while a
   *  promise was open (ConnectionError); `held` says whether a session still has the request.
   *  What to do: create another one; go on with `client.session` to have sent what it holds. */
  ENDED: 'UsageError' | 'ConnectionError'
  /** When more publishes have no outcome than `maxQueued` or `maxQueuedBytes` allow, with
   *  `whenFull: 'reject'`; or 10,000 sends of an event stream wait.
   *  What to do: await publishes, or raise the bounds. */
  QUEUE_FULL: 'UsageError'
  /** When the server refuses a filter of a subscription, at first or at a renewal. `refused` lists
   *  the filters.
   *  What to do: see `reasonCode` and the permissions of the client at the server. */
  SUBSCRIBE_REFUSED: 'RefusedError'
  /** When the members of a space are asked for and the connection is lost; `members` has those that
   *  were known before.
   *  What to do: use these, or ask again once the client is connected. */
  NOT_SYNCED: 'ConnectionError'
  /** When a server of MQTT 3.1.1 grants a Shared Subscription and delivers nothing through it.
   *  What to do: leave out `share`. */
  SHARED_UNAVAILABLE: 'ConnectionError'

  // The bus (`it-mqtt/bus`).

  /** When what is given to an rpc does not fit its schema; nothing was sent. `issues` says where.
   *  What to do: correct the value. */
  INVALID_INPUT: 'UsageError'
  /** When an API has a JSON Schema and the package `ajv` is not installed, or cannot be loaded;
   *  when values are checked with schemas of others, and `@cfworker/json-schema` is not.
   *  What to do: `npm install ajv@8`, or use schemas of a library such as zod; for schemas of
   *  others `npm install @cfworker/json-schema@4`. */
  NO_VALIDATOR: 'UsageError'
  /** When `prometheus()` is called and the package `prom-client` is not installed, or cannot be
   *  loaded.
   *  What to do: `npm install prom-client@15`. */
  NO_METRICS: 'UsageError'
  /** When a configuration is YAML and the package `yaml` is not installed, or cannot be loaded.
   *  What to do: `npm install yaml@2`, or write JSON. */
  NO_YAML: 'UsageError'
  /** When a configuration has faults; the message and `issues` have all of them with their places.
   *  What to do: correct them; `it-mqtt bus dumpconfigschema` writes a schema for editors. */
  INVALID_CONFIG: 'UsageError'
  /** When a task has an expression of cron and the package `croner` is not installed, or cannot be
   *  loaded.
   *  What to do: `npm install croner@11`, or use `every()`. */
  NO_SCHEDULER: 'UsageError'
  /** When a listener is to be forgotten, and its process runs it, or gives an answer that cannot be
   *  read.
   *  What to do: stop the process, or start it without the listener; or use `force`. */
  LISTENER_RUNS: 'RefusedError'
  /** When an API breaks the schema that its service has at the server, with `onBreaking: 'refuse'`.
   *  What to do: give the API another major version, or set `onBreaking` to `warn`. */
  SCHEMA_BREAKING: 'UsageError'

  // The transport and its time limits.

  /** When no transport could be opened and the cause has no code of its own. Most causes have one
   *  of Node's, such as `ECONNREFUSED`.
   *  What to do: see `cause`. */
  CONNECT_FAILED: 'ConnectionError'
  /** When there was no CONNACK within `connectTimeout` ms. The message says what was missing: the
   *  name lookup, TCP, TLS, the WebSocket upgrade or the CONNACK.
   *  What to do: check host, port and firewall; raise `connectTimeout` for a slow network. */
  CONNECT_TIMEOUT: 'ConnectionError'
  /** When the server closed the transport without a DISCONNECT, or cut it before the CONNACK.
   *  What to do: the loop retries; if it repeats, see the server's log. */
  CONNECTION_CLOSED: 'ConnectionError'
  /** When more bytes came over a WebSocket that cannot be paused, as in a page, than twice
   *  `maxBufferedBytes`, and were not taken. It is retryable.
   *  What to do: take packets faster, raise `maxBufferedBytes`, or subscribe with QoS 1. */
  WS_OVERFLOW: 'ConnectionError'
  /** When the server did not answer a PINGREQ in time (ConnectionError), or says that it received
   *  nothing from this client in time (RefusedError, reason code 0x8D).
   *  What to do: the loop reconnects; check the network, or choose another `keepAlive`. */
  KEEP_ALIVE_TIMEOUT: 'ConnectionError' | 'RefusedError'
  /** When the server did not answer a `ping` of the user within `keepAlive`.
   *  What to do: try again once connected. */
  PING_TIMEOUT: 'ConnectionError'
  /** When the server did not acknowledge a packet within `ackTimeout.afterMs`.
   *  What to do: with `then: 'fail'` send the request again if it may arrive twice; otherwise
   *  nothing. */
  ACK_TIMEOUT: 'ConnectionError'
  /** When a re-authentication did not end in time.
   *  What to do: the loop reconnects; check the authenticator and the server. */
  AUTHENTICATION_TIMEOUT: 'ConnectionError'
  /** When the authenticator threw, or does not trust what the server answered.
   *  What to do: see `cause`; throw an error with `retryable: true` from the authenticator to
   *  retry. */
  AUTHENTICATION_FAILED: 'ConnectionError'
  /** When the function `connectOptions` threw.
   *  What to do: see `cause`; the loop calls it again for the next attempt. */
  CONNECT_OPTIONS_FAILED: 'ConnectionError'
  /** When the server sends the client to another server and names no usable host.
   *  What to do: correct the Server Reference at the server. */
  BAD_SERVER_REFERENCE: 'ConnectionError'
  /** When `networkHints` yielded `offline`.
   *  What to do: nothing: the loop retries at the next `online` or after the usual delay. */
  NETWORK_OFFLINE: 'ConnectionError'
  /** When `ping` or `reauthenticate` is called while there is no connection.
   *  What to do: try again once `state.connection.kind` is `connected`. */
  NOT_CONNECTED: 'ConnectionError'
  /** When a method is called on a loop, a spool or a session store that has ended.
   *  What to do: create a new one. */
  CLOSED: 'ConnectionError' | 'UsageError'

  // The outcome of a request.

  /** When the connection broke before a QoS 0 publish was written. Whether it arrived is not
   *  known.
   *  What to do: send it again, or use QoS 1. */
  CONNECTION_LOST: 'ConnectionError'
  /** When the server lost the session before it acknowledged a publish, and `onSessionLost` is
   *  `fail`.
   *  What to do: send it again if it may arrive twice. */
  SESSION_LOST: 'ConnectionError'
  /** When `next()` was not called for `warnAfterMs` ms and the buffer is full (`maxBufferedBytes`),
   *  so that the answer to a request cannot be read. Whether it arrived is not known.
   *  What to do: take packets while you await an outcome, or raise `maxBufferedBytes`. */
  ANSWER_UNREAD: 'ConnectionError'
  /** When the `messageExpiryInterval` of a publish was over before it could be sent.
   *  What to do: nothing, or choose a longer interval. */
  MESSAGE_EXPIRED: 'ConnectionError'
  /** When the loop ended while `divert.to` had a publish. Whether it arrived is not known.
   *  What to do: send it again if it may arrive twice. */
  DIVERT_ABORTED: 'ConnectionError'
  /** When the server refused a request in its PUBACK, PUBREC, SUBACK or UNSUBACK. `reasonCode`
   *  says why; of several filters, `refused` and `granted` list which.
   *  What to do: see `reasonCode` and the permissions of the client at the server. */
  NEGATIVE_ACKNOWLEDGEMENT: 'RefusedError'
  /** When the connection was lost `quarantineAfter` times while this request alone was open.
   *  What to do: look at what the server refuses in it (size, topic, payload); it is not sent
   *  again. */
  QUARANTINED: 'RefusedError'
  /** When a packet is larger than the server's Maximum Packet Size, or the server closed because
   *  of one (reason code 0x95).
   *  What to do: send smaller payloads, or raise the limit at the server. */
  PACKET_TOO_LARGE: 'RefusedError' | 'UsageError'
  /** When the server does not take this QoS (reason code 0x9B).
   *  What to do: publish with the QoS of `state.connection.limits` or less. */
  QOS_NOT_SUPPORTED: 'RefusedError'
  /** When the server does not take retained messages (reason code 0x9A). Presence is made of them
   *  (UsageError).
   *  What to do: publish without `retain`; use presence with another server. */
  RETAIN_NOT_SUPPORTED: 'RefusedError' | 'UsageError'
  /** When the server has no shared subscriptions (reason code 0x9E).
   *  What to do: subscribe without `$share`. */
  SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: 'RefusedError'
  /** When the server has no wildcard subscriptions (reason code 0xA2).
   *  What to do: subscribe to the topics one by one. */
  WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED: 'RefusedError'
  /** When the server has no subscription identifiers (reason code 0xA1).
   *  What to do: subscribe without `subscriptionIdentifier`. */
  SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED: 'RefusedError'

  // What the server says in a CONNACK or DISCONNECT.

  /** When the server refuses user name or password (reason code 0x86; MQTT 3: 4), or the WebSocket
   *  upgrade with HTTP 401.
   *  What to do: correct the credentials, or renew them in `connectOptions`. */
  BAD_CREDENTIALS: 'RefusedError'
  /** When the server does not allow this client to connect, or one of its requests (reason code
   *  0x87; MQTT 3: 5; HTTP 403 at the WebSocket upgrade).
   *  What to do: check the permissions of the client at the server. */
  NOT_AUTHORIZED: 'RefusedError'
  /** When the server does not take the client identifier (reason code 0x85; MQTT 3: 2).
   *  What to do: choose another `clientId`. */
  CLIENT_ID_REFUSED: 'RefusedError'
  /** When the server does not know the authentication method (reason code 0x8C).
   *  What to do: choose an authenticator that the server knows. */
  BAD_AUTHENTICATION_METHOD: 'RefusedError'
  /** When the server has banned this client (reason code 0x8A).
   *  What to do: ask the operator of the server. */
  BANNED: 'RefusedError'
  /** When an HTTP server answers the WebSocket upgrade with a status that is no upgrade and that no
   *  other code names; `statusCode` has it.
   *  What to do: check host, port and path of the URL. */
  UPGRADE_REFUSED: 'RefusedError'
  /** When the proxy of the command line (`--proxy`) does not open a way to the server.
   *  What to do: check the address of the proxy, its user name and password, and what it allows. */
  PROXY_FAILED: 'ConnectionError'
  /** When the server does not support this version of MQTT (reason code 0x84; MQTT 3: 1), or
   *  answers version 5 as a server does that does not know it.
   *  What to do: leave out `protocolVersion`, so that 3.1.1 may be tried, or set a version that it
   *  supports. */
  UNSUPPORTED_VERSION: 'RefusedError'
  /** When the server's Maximum Packet Size leaves no room for any packet.
   *  What to do: correct the limit at the server. */
  SERVER_LIMITS: 'RefusedError'
  /** When another client connected with the same client identifier (reason code 0x8E).
   *  What to do: give each client its own `clientId`. */
  SESSION_TAKEN_OVER: 'RefusedError'
  /** When the server is not available (reason code 0x88; MQTT 3: 3).
   *  What to do: nothing: the loop retries. */
  SERVER_UNAVAILABLE: 'RefusedError'
  /** When the server is busy (reason code 0x89).
   *  What to do: nothing: the loop retries later. */
  SERVER_BUSY: 'RefusedError'
  /** When the server is shutting down (reason code 0x8B).
   *  What to do: nothing: the loop retries. */
  SERVER_SHUTTING_DOWN: 'RefusedError'
  /** When the server closed with DISCONNECT 0x00, without naming a reason.
   *  What to do: nothing: the loop retries; see the server's log if it repeats. */
  SERVER_DISCONNECTED: 'RefusedError'
  /** When the server asks to use another one for now (reason code 0x9C).
   *  What to do: set `followRedirects: true`, or list the other server in `url`. */
  USE_ANOTHER_SERVER: 'RefusedError'
  /** When the server has moved for good (reason code 0x9D).
   *  What to do: change `url`, or set `followRedirects: true`. */
  SERVER_MOVED: 'RefusedError'
  /** When a quota of the server is exceeded (reason code 0x97).
   *  What to do: send less, or raise the quota; the loop retries later. */
  QUOTA_EXCEEDED: 'RefusedError'
  /** When there were too many connections in a short time (reason code 0x9F).
   *  What to do: nothing: the loop retries later. */
  CONNECTION_RATE_EXCEEDED: 'RefusedError'
  /** When the connection has lasted as long as this client may be connected (reason code 0xA0).
   *  What to do: nothing: the loop reconnects. */
  MAXIMUM_CONNECT_TIME: 'RefusedError'
  /** When the client sends too fast for the server (reason code 0x96).
   *  What to do: lower the rate with `throttle`. */
  MESSAGE_RATE_TOO_HIGH: 'RefusedError'
  /** When the server says that there are more unacknowledged publishes than it allows (reason code
   *  0x93).
   *  What to do: report it: this package keeps to the Receive Maximum that the server gives. */
  RECEIVE_MAXIMUM_EXCEEDED: 'RefusedError'
  /** When an operator closed the connection (reason code 0x98).
   *  What to do: ask the operator of the server if it repeats. */
  ADMINISTRATIVE_ACTION: 'RefusedError'
  /** When the server does not take a topic filter (reason code 0x8F).
   *  What to do: check the filter against the rules of the server. */
  TOPIC_FILTER_INVALID: 'RefusedError'
  /** When the server does not take a topic name (reason code 0x90).
   *  What to do: check the topic against the rules of the server. */
  TOPIC_NAME_INVALID: 'RefusedError'
  /** When the server does not take a topic alias (reason code 0x94).
   *  What to do: report it: this package uses the aliases that the server allows. */
  TOPIC_ALIAS_INVALID: 'RefusedError'
  /** When a payload is not the UTF-8 that its `payloadFormatIndicator` promises (reason code
   *  0x99).
   *  What to do: correct the payload, or leave out the indicator. */
  PAYLOAD_FORMAT_INVALID: 'RefusedError'
  /** When the server could not read a packet of this client (reason code 0x81).
   *  What to do: report it, with a recording (option `recorder`). */
  MALFORMED_PACKET: 'RefusedError'
  /** When the server says that this client broke a rule (reason code 0x82).
   *  What to do: report it, with a recording (option `recorder`). */
  PROTOCOL_ERROR: 'RefusedError'
  /** When the server refuses for a reason of its own (reason code 0x83).
   *  What to do: see the server's log. */
  IMPLEMENTATION_ERROR: 'RefusedError'
  /** When the server names no reason (0x80), or one that the standard does not define.
   *  What to do: see the server's log. */
  UNSPECIFIED_ERROR: 'RefusedError'

  // The server broke a rule.

  /** When the server sent something that the standard forbids; `clause` names the rule.
   *  What to do: update or report the server; the loop closes the connection and retries if that
   *  may help. */
  PROTOCOL: 'ProtocolError'
  /** When what answers a CONNECT is another protocol: an HTTP, TLS or SSH server, for example. The
   *  message names it.
   *  What to do: check scheme, host and port of the URL. */
  NOT_MQTT: 'ProtocolError'

  // The disk.

  /** When a session store failed without a code of its own.
   *  What to do: see `cause`. */
  STORAGE: 'StorageError'
  /** When a session store could not load its session.
   *  What to do: see `cause`. */
  LOAD_FAILED: 'StorageError'
  /** When a session store could not commit a session; what depends on it was not sent.
   *  What to do: see `cause`; make room, and start the loop again with the store. */
  COMMIT_FAILED: 'StorageError'
  /** When a directory on disk could not be made or opened.
   *  What to do: check the path and its permissions. */
  OPEN_FAILED: 'StorageError'
  /** When another process, or another part of this one, has the directory open; the message says
   *  which.
   *  What to do: end that one first, or choose another directory. */
  IN_USE: 'StorageError'
  /** When what is on disk is damaged and could not be repaired.
   *  What to do: move the directory away to begin with an empty one. */
  DAMAGED: 'StorageError'
  /** When the directory of a spool or a session was removed or replaced while it was in use.
   *  What to do: find out what removed it; start again with a directory that stays. */
  DIRECTORY_GONE: 'StorageError'
  /** When the disk has no room left.
   *  What to do: make room; a spool goes on by itself. */
  DISK_FULL: 'StorageError'
  /** When the disk could not be read.
   *  What to do: check the disk; see `cause`. */
  READ_FAILED: 'StorageError'
  /** When the disk could not be written.
   *  What to do: check the disk; see `cause`. */
  WRITE_FAILED: 'StorageError'
  /** When a spool holds `maxBytes` or `maxMessages`, and `overflow` is to reject or to drop.
   *  What to do: wait until something was sent, or raise the bounds. */
  SPOOL_FULL: 'StorageError'

  // A defect of this package.

  // Requests and responses (`it-mqtt/client`).

  /** When the server says that nobody has subscribed to the topic of a request (0x10).
   *  What to do: start the responder; a later attempt may find one. */
  NO_RESPONDERS: 'RefusedError'
  /** When a responder cannot use a request: its schema or its codec refuses it (status 400).
   *  What to do: see `remote`. */
  BAD_REQUEST: 'RefusedError'
  /** When a responder does not know what was asked for (status 404).
   *  What to do: compare the versions of both sides. */
  UNKNOWN: 'RefusedError'
  /** When a responder knows the key of a request with another payload (status 409).
   *  What to do: use a key for one operation only. */
  KEY_REUSED: 'RefusedError'
  /** When the handler of a responder threw (status 500).
   *  What to do: look for the id of the message in the log of the responder. */
  RESPONDER_FAILED: 'RefusedError'
  /** When a call came to the fake bus of `it-mqtt/bus/testing`, and the test has no mock for it.
   *  What to do: write `fake.mock(api, 'name', …)` before it, or see `stubs` and `requireMocks`. */
  NOT_MOCKED: 'RefusedError'
  /** When a responder has no room for another request (status 503).
   *  What to do: try again later; see `concurrency`, `maxPending` and `dedupe` of the responder. */
  BUSY: 'RefusedError'
  /** When the handler of a responder did not end before its deadline (status 504).
   *  What to do: give it more time, or find out what it waits for. */
  RESPONDER_TIMEOUT: 'RefusedError'
  /** When a responder refused without a code, or with a status of its own.
   *  What to do: see `remote`. */
  REFUSED_BY_RESPONDER: 'RefusedError'
  /** When a response cannot be decoded, is refused by the schema, or is a stream that `request()`
   *  did not ask for.
   *  What to do: compare codec and schema of both sides; read streams with `requestMany()`. */
  INVALID_RESPONSE: 'ProtocolError'
  /** When a part of a streamed response or a message of an event stream is missing, or those of two
   *  are mixed.
   *  What to do: ask again; use `responseQos: 1` at the responder if connections are often lost. */
  STREAM_GAP: 'ConnectionError'

  // Event streams (`it-mqtt/event-stream`).

  /** When bytes are no message of an event stream: a checksum, a length or a header is wrong, or a
   *  limit is exceeded. `offset` says where, and `clause` names the rule.
   *  What to do: check what sends and carries the stream; raise the limit if `clause` names one. */
  MALFORMED_MESSAGE: 'ProtocolError'
  /** When an event stream ended within a message.
   *  What to do: find out what cut it; ask again. */
  TRUNCATED: 'ConnectionError'
  /** When nothing came of an event stream for `idleTimeout` ms.
   *  What to do: find out what the other side waits for, or allow more time. */
  STALLED: 'ConnectionError'
  /** When an event stream ended before what must be its end (`endsWith`, a signed end), or before
   *  its first message.
   *  What to do: find out why the other side ended; what came may not be all. */
  INCOMPLETE: 'ConnectionError'
  /** When an event is not defined, with `onUnknownEvent: 'throw'`.
   *  What to do: define the event, or leave out the option. */
  UNKNOWN_EVENT: 'ProtocolError'
  /** When a signer threw: nothing was sent unsigned, and the stream has ended.
   *  What to do: see `cause`. */
  SIGNING_FAILED: 'UsageError'
  /** When the signature of a received message is wrong or missing.
   *  What to do: compare keys, seed and order of both sides; do not trust what came. */
  BAD_SIGNATURE: 'ProtocolError'
  /** When two topics of a Smithy model can be the same and their payloads have different shapes.
   *  What to do: change one of the topics that the message names. */
  TOPIC_CONFLICT: 'UsageError'

  /** When an invariant of the engine does not hold.
   *  What to do: report it, with the stack and a recording (option `recorder`). */
  BUG: 'BugError'
}

/** The codes of warnings (`onWarning`): the loop goes on. */
export interface WarningCodes {
  /** When an adopted session (`cleanStart: false` without a saved session) had messages in flight
   *  when an earlier process ended: messages that come again may have been handled, and publishes
   *  of that process may be delivered now.
   *  What to do: continue from a saved session or a session store, which hold what was in flight.
   */
  ADOPTED_IN_FLIGHT: 'Warning'
  /** When a received message was not acknowledged for `warnAfterMs` ms; later ones cannot be
   *  acknowledged either (C21, manual acknowledgements leave in the wrong order).
   *  What to do: call `ack(packet)`, or pull the next packet with `acks: 'pull'`. */
  ACKNOWLEDGEMENT_FORGOTTEN: 'Warning'
  /** When the function `connectivityCheck` threw; the client is assumed to be online.
   *  What to do: correct the function. */
  CONNECTIVITY_CHECK_FAILED: 'Warning'
  /** When two consumers (two `for await`, say) iterate one loop, so that each packet goes to one of
   *  them only.
   *  What to do: iterate the loop once and pass the packets on. */
  CONSUMERS_SHARE: 'Warning'
  /** When packets wait for `next()` for `warnAfterMs` ms, and no more are read.
   *  What to do: do not await the outcome of a request in the loop body; take packets faster. */
  CONSUMER_STALLED: 'Warning'
  /** When the folder of a checkpoint takes no lock file, so that a second process may use the
   *  checkpoint too.
   *  What to do: let the process write the folder, or make sure that there is one process. */
  CHECKPOINT_NOT_LOCKED: 'Warning'
  /** When the messages of one subscription are not acknowledged for `warnAfterMs` ms, so that the
   *  acknowledgements of others wait, or no more messages come.
   *  What to do: take messages faster, or use `acks: 'receipt'`, `connection: 'own'`, or `forEach`
   *  with a concurrency. */
  HOLDS_BACK: 'Warning'
  /** When messages wait in a subscription for `warnAfterMs` ms that nobody has ever iterated.
   *  What to do: iterate it, or dispose of it. */
  NOT_ITERATED: 'Warning'
  /** When a client was to answer requests for 5 s, and nobody awaits anything of it, so that it has
   *  not connected.
   *  What to do: `await client.run()`, or iterate a subscription. */
  NOT_DRIVEN: 'Warning'
  /** When two filters of a client overlap and the copies of a message that the server sends for
   *  them cannot be told apart.
   *  What to do: use filters that do not overlap. */
  OVERLAP: 'Warning'
  /** When a space has more members than `maxMembers` of `presence()`; those beyond are not kept.
   *  What to do: raise `maxMembers`, or divide the space. */
  PRESENCE_FULL: 'Warning'
  /** When a client that enters a space has a will of its own, so that others see its loss only
   *  when its `ttl` has passed.
   *  What to do: leave out `will`, or accept it; a smaller `ttl` tells sooner. */
  PRESENCE_LEASES_ONLY: 'Warning'
  /** When the server refuses something of presence that no call waits for: a record that is
   *  renewed, one that a janitor removes, a subscription by which a space is watched, or that of
   *  the client's own record.
   *  What to do: see the permissions and the quotas of the client at the server. */
  PRESENCE_REFUSED: 'Warning'
  /** When an event of an event stream is not defined, once for each type; such events are skipped.
   *  What to do: define it, or set `onUnknownEvent`. */
  UNKNOWN_EVENT: 'Warning'
  /** When a file that is to be followed is not there yet.
   *  What to do: nothing: it is read as soon as it is there. */
  FILE_MISSING: 'Warning'
  /** When lines of a followed file may be missing: it was truncated and no copy has what was read,
   *  a rotated file is gone or cannot be unpacked, or the order of the targets of a link is not
   *  known. The message names the file, the position and the cause.
   *  What to do: look at the rotated files; keep more of them, or copy before truncating. */
  GAP_POSSIBLE: 'Warning'
  /** When the handler of a responder threw. The message has the id that the requester was told,
   *  and the error.
   *  What to do: correct the handler, or answer with `request.fail()`. */
  HANDLER_FAILED: 'Warning'
  /** When a handler of events threw, or an event did not fit its schema; the message has what
   *  becomes of the event (`onError`), and the error.
   *  What to do: correct the handler, or who fires the event. */
  EVENT_FAILED: 'Warning'
  /** When a process ends and `run()` of its bus was never called, although something was added that
   *  only a run does: APIs that are served, listeners with handlers, tasks.
   *  What to do: `await bus.run()`. */
  RUN_MISSING: 'Warning'
  /** When an event came for a listener that does not listen to it any more: an earlier process of
   *  its name has subscribed to it. It is acknowledged and not handled, and the subscription is
   *  removed. Each event is reported once; `stats.passed` of the listener counts all.
   *  What to do: nothing, if the listener has given it up; else let it listen to it again. */
  EVENT_DROPPED: 'Warning'
  /** When the server refuses the control topics on which a process of a bus answers `discover()`.
   *  What to do: allow `{prefix}/_control/#`, or set `control: false`. */
  CONTROL_REFUSED: 'Warning'
  /** When an answer to `discover()` was none of a process of a bus: no JSON, or with other fields.
   *  What to do: find out who may subscribe to `{prefix}/_control/#`. */
  ANSWER_PASSED_OVER: 'Warning'
  /** When the function of a task threw; the message has what becomes of it (`onError`), and
   *  the error.
   *  What to do: correct the function. */
  TASK_FAILED: 'Warning'
  /** When a process with listeners has no name that it has again after a restart: the sessions of
   *  its listeners, and the events in them, are then left at the server.
   *  What to do: give the option `process` of `createBus()`. */
  PROCESS_UNNAMED: 'Warning'
  /** When the schema of an API was not published: the server keeps no retained messages or does not
   *  permit it, a lease was asked for without MQTT 5, or the schema is too long. The API is served.
   *  What to do: permit the service to publish below its API, or set `schema: false`. */
  SCHEMA_UNPUBLISHED: 'Warning'
  /** When a schema at the server cannot be read: the server does not permit it, or what lies there
   *  is no schema document of the API.
   *  What to do: permit the service to subscribe to it; look who may publish there. */
  SCHEMA_UNREADABLE: 'Warning'
  /** When the schema of an API replaced one that others may rely on, and breaks it (`onBreaking`).
   *  What to do: give such an API another major version, and serve both for a while. */
  SCHEMA_REPLACED: 'Warning'
  /** When the comparison does not understand whether an API breaks the schema at the server, with
   *  `onBreaking: 'refuse'`: the API is served.
   *  What to do: compare the places that the message names. */
  SCHEMA_UNPROVEN: 'Warning'
  /** When a bus with `envelope: 'cloudevents'` has a connection that is not MQTT 5, and fires an
   *  event: it is sent as a payload alone, and listeners do not recognize one that comes again.
   *  What to do: use a server with MQTT 5, or leave out `envelope`. */
  ENVELOPE_LOST: 'Warning'
  /** When `validate.remote` is true, and a kind of value is not checked with a schema document at
   *  the server, or not with all of it: none is there, it cannot be read or is not understood, its
   *  patterns are not trusted, or the check takes too much work. Each reason is reported once.
   *  What to do: look what the service has published (`it-mqtt bus dumpschema`); if you know its
   *  authors, set `validate.trustPatterns`. */
  SCHEMA_UNCHECKED: 'Warning'
  /** When a schema of an API has no JSON Schema form, so that it is missing from what is published.
   *  What to do: nothing, or use schemas that have a JSON Schema form. */
  SCHEMA_INCOMPLETE: 'Warning'
  /** When a file that may grow ends without a line end, so that its last line is left for a later
   *  run.
   *  What to do: nothing, or set `growing: false` (`--complete`) if the file will not grow. */
  LINE_UNFINISHED: 'Warning'
  /** When there was no healthy connection for `divert.afterMs` ms, so that new publishes go to
   *  `divert.to`.
   *  What to do: nothing. */
  DIVERTING: 'Warning'
  /** When connections were lost, or could not be made, several times in a row with the same cause,
   *  and nothing was settled or delivered in between; the message names the cause, the server and
   *  what was open (D6, one bad request never stalls the others).
   *  What to do: see the cause; cancel or correct what was open. */
  NO_PROGRESS: 'Warning'
  /** When the server refused to renew a subscription, or the connection was lost again and again
   *  on it; `state.subscriptions` shows which.
   *  What to do: subscribe to something that the server grants. */
  RENEWAL_REFUSED: 'Warning'
  /** When the server sent something that the standard forbids and that can be lived with, once for
   *  each kind and connection; `state.counters.deviations` counts them by kind.
   *  What to do: update or report the server; see docs/TOLERANCE.md. */
  SERVER_DEVIATION: 'Warning'
  /** When a server closed several connections in a row soon after it accepted them, or said that
   *  another client has taken the session over (0x8E) and `retryable` allows another attempt.
   *  What to do: give each client its own `clientId`; of a bus, each process its own `process`. */
  SESSION_TAKEN_OVER_SUSPECTED: 'Warning'
  /** When the server acknowledged a packet identifier that is not in use, with
   *  `tolerance: 'strict'`; the acknowledgement is ignored.
   *  What to do: update or report the server. */
  UNKNOWN_PACKET_IDENTIFIER: 'Warning'
  /** When records of a spool or a session were damaged, and what they held is lost.
   *  What to do: check the disk. */
  RECORD_DAMAGED: 'Warning'
  /** When a spool lacks requests that were stored in it, because its files were damaged or removed;
   *  the message says how many.
   *  What to do: check the disk; `it-mqtt spool` shows the count until it is cleared. */
  REQUESTS_LOST: 'Warning'
  /** When the directory of a spool was removed or replaced while it was in use.
   *  What to do: find out what removed it; start again with a directory that stays. */
  DIRECTORY_GONE: 'Warning'
  /** When a spool cannot write because the disk has no room left; it tries again.
   *  What to do: make room. */
  DISK_FULL: 'Warning'
  /** When a spool cannot read its disk; it tries again.
   *  What to do: check the disk. */
  READ_FAILED: 'Warning'
  /** When a spool cannot write its disk; it tries again.
   *  What to do: check the disk. */
  WRITE_FAILED: 'Warning'
}

/** A code of this package. */
export type ErrorCode = keyof ErrorCodes

/** The code of a warning. */
export type WarningCode = keyof WarningCodes
