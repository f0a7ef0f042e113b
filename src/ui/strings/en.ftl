# Sentences shown to people, in English. zh.ftl has the same keys and arguments; a test checks this.
# `count` is a number; every other argument is sanitized text.

## Line mode

chat-choose = Choose a contact:{" "}
chat-write = Type a message, Enter sends:{" "}
chat-incoming = Message from { $who } [{ $via }] { $time }:{" "}
chat-missing = { $count ->
    [one] 1 message missing here
   *[other] { $count } messages missing here
}
chat-contacts = Contacts: { $names }
chat-no-contacts = The address book is empty. Add a contact: queqiao contacts add NAME HOST:PORT
chat-any-name = No contacts yet; type any name at { $relay }, or add one: queqiao contacts add NAME { $relay }
chat-no-such-command = Not sent: unknown command { $command }. /help lists the commands. To send text that begins with /, type //
chat-command-usage = Usage: { $usage }
chat-slashguard = Not sent: did you mean the command { $command }? Remove what is before it. To send text that begins with /, type //
chat-too-long = Not sent: the message has { $len } bytes; the limit is { $max }. Your text:
chat-text-back = Your text:
chat-receipts-on = Delivery receipts on
chat-receipts-off = Delivery receipts off
chat-receipt = ✓✓ delivered to { $who }: “{ $text }”
chat-not-accepted-yet = { $count ->
    [one] Not accepted by the relay yet: your message to { $who }, “{ $text }”
   *[other] Not accepted by the relay yet: { $count } messages to { $who }
}
chat-not-delivered-yet = { $count ->
    [one] { $who } has not received your message yet: “{ $text }”
   *[other] { $who } has not received { $count } messages yet
}
chat-delivered-late = All your messages to { $who } have been delivered
chat-left-unsent = { $count ->
    [one] 1 message was not accepted by the relay in time; it stays in the outbox and will be sent next time you run queqiao
   *[other] { $count } messages were not accepted by the relay in time; they stay in the outbox and will be sent next time you run queqiao
}
chat-status-online = { $relay }: connected over { $via }
chat-status-measured = { $relay }: connected over { $via }, round trip { $ms } ms
chat-status-connecting = { $relay }: connecting
chat-status-lost = { $relay }: connection lost, reconnecting
chat-status-unreached = { $relay }: unreachable, retrying
chat-status-stopped = { $relay }: disconnected, not retrying
chat-help-title = Commands:
chat-help-line = { $usage }  { $meaning }
usage-contact = CONTACT
usage-name = NAME
chat-help-quit-word = go back to the contact prompt; at that prompt, quit
chat-help-slashes = send text that begins with /
chat-help-help = show this help
chat-help-who = list the contacts
chat-help-to = switch to another contact
chat-help-status = show the connection to each relay
chat-help-path = use UDP only, TCP only, or choose automatically
chat-path-udp = Transport: UDP only
chat-path-tcp = Transport: TCP only
chat-path-auto = Transport: UDP or TCP, chosen automatically
chat-help-receipts = turn delivery receipts on or off
chat-help-quit = quit

## Input

input-not-utf8 = Not sent: this text is not valid UTF-8; convert it first (for GBK: iconv -f GBK -t UTF-8)
input-dropped = Not UTF-8, so left out; the rest of your text is kept
input-set-locale = not UTF-8, so left out. Set your terminal to UTF-8, then run: export LC_ALL=C.UTF-8 ({ $locale } now)
input-too-long = Not sent: this line is longer than { $max } bytes
input-failed = Cannot read standard input: { $cause }

## Refused messages

refused-unknown = Not delivered: { $who } has never signed in at { $relay }, or was removed there
refused-unknown-there = Not delivered: { $who } has never signed in at this relay, or was removed there
refused-full = Not delivered: the mailbox of { $who } is full, or { $who } keeps no more messages from people who are not contacts
refused-too-long = Not delivered: the message exceeds the relay's size limit
refused-blocked = Not delivered: { $who } does not accept messages from you
refused-expired = Not delivered: { $who } did not fetch it in time
refused-behind = Not delivered: the message before it was refused
refused-old-copy = Not delivered: your data directory was an old copy; send it again
refused-damaged = Not delivered: it was damaged on disk; send it again
refused-unsupported = Not delivered: the client of { $who } cannot display this type of message
refused-other = Not delivered: the message to { $who } was refused with code { $code }, which this version does not know; update queqiao
refused-may-have-arrived = It may have arrived anyway
refused-nearest = Similar names: { $names }

## Connection

relay-silent = no relay answers at { $relay }; start one: queqiao relay --tcp
relays-silent = { $count ->
    [one] no relay answers at { $relay } and 1 other; start one: queqiao relay --tcp
   *[other] no relay answers at { $relay } and { $count } others; start one: queqiao relay --tcp
}
relay-no-tcp = no TCP listener at { $relay }; start the relay with --tcp
relay-no-host = cannot resolve the host of { $relay }; check its spelling
relay-no-zone = this machine has no network interface { $zone }; { $relay } cannot be reached through it
relay-no-name-server = no name server answers for the host of { $relay }; check this machine's network, or use an IP address
relay-no-route = no route to { $relay }; check the address and this machine's network
ping-one-carrier = only one of UDP and TCP works to { $relay }; a firewall may drop the other
relay-not-permitted = a firewall or rule on this machine forbids sending to { $relay }
relay-too-big = the network to { $relay } takes no UDP packets of 1,200 bytes; raise its MTU to 1,280, or use TCP (start the relay with --tcp)
relay-no-room = the system has no socket left to reach { $relay }; raise the limit on open files (ulimit -n)
relays-unreached = { $relay } and { $count ->
    [one] 1 other
   *[other] { $count } others
} cannot be reached; check this machine's network
relay-name-not-written = the relay at { $relay } cannot register new names at the moment; retrying
relay-refused = the relay at { $relay } answers, but the handshake fails: it cannot prove its key, or does not accept yours
relay-key-changed = the key of the relay at { $relay } differs from the pinned one ({ $pinned }); nothing is sent to it. If its operator confirms the new key, run: queqiao trust { $relay } { $offered }
relay-key-unlike-book = the relay at { $relay } shows the key { $offered }, but { $wanted } is expected; nothing is sent to it. If its operator confirms the key shown, run: queqiao trust { $relay } { $offered }
relay-key-unlike-pin = the expected key of the relay at { $relay }, { $wanted }, differs from the pinned one ({ $pinned }); nothing is sent to it. If its operator confirms the expected key, run: queqiao trust { $relay } { $wanted }
relay-pinned = first connection to { $relay }: compare its key { $key }, now pinned, with the one that its operator sees (key=… in the relay's first line)
relay-lost = connection to { $relay } lost; reconnecting
relay-online = connected to { $relay } over { $via }
relay-online-again = reconnected to { $relay } over { $via }
relay-moved-silent = { $relay }: no answer over UDP; switched to TCP
relay-moved-poor = { $relay }: too much packet loss over UDP; switched to TCP
relay-moved-proved = { $relay }: UDP works; switched to UDP
relay-moved-broken = { $relay }: TCP connection closed; switched to UDP
relay-moved-asked = { $relay }: switched to { $via } as requested
notice-at = { $time }  { $what }
history-forget-alone = --forget cannot be used with --json, --last, --since or --all
history-needs-forget = --older and --yes can only be used with --forget
history-forget-all = this erases all messages with all contacts; name a contact, give an age (--older 90d), or use --yes
history-forget-ask = Erase all messages with all contacts ({ $count })? (y/N){" "}
history-forget-not = nothing was erased
history-waiting-stay = { $count ->
    [one] 1 message still on its way was kept
   *[other] { $count } messages still on their way were kept
}
history-unseen-stay = { $count ->
    [one] 1 message that you have not seen was kept; to see it, run: queqiao listen
   *[other] { $count } messages that you have not seen were kept; to see them, run: queqiao listen
}
history-in-use = erased from the history, but another process still has the old { $file } open; run this again after it has exited
strangers-full = messages from people who are not in your address book take { $size } MiB; more of them are refused until you free space (queqiao history --forget) or add their senders (queqiao contacts add)
relay-replaced = your key has signed in at { $relay } again, from another machine or at another address of the same relay; this session was disconnected
outbox-lost = { $count ->
    [one] the relay at { $relay } was restored from a backup: a message to { $who } that it had accepted may not have arrived; it is sent again, and not shown twice
   *[other] the relay at { $relay } was restored from a backup: { $count } messages to { $who } that it had accepted may not have arrived; they are sent again, and none is shown twice
}
outbox-old-copy = This data directory is an old copy: another copy of it has been used at { $relay } since. New messages are sent as usual; messages that were waiting are returned, and may have arrived

## Names

name-taken = { $name } is taken at { $relay }: it is registered with another key; choose another name with --as
name-confusable = { $name } looks too much like { $other }, which is registered at { $relay }; choose another name with --as
name-reserved = { $name } is reserved for the relay; choose another name with --as
name-bad = { $name } is not a valid name: use 1 to 32 letters, digits, and . _ - (any script)
name-other = you are already registered at { $relay } as { $other }; use --as { $other }
name-other-unknown = you are already registered at { $relay } under another name
name-too-many = too many names were registered at { $relay } from this address recently; try again in an hour
name-relay-full = { $relay } accepts no more members; ask its operator for an invitation
name-empty = a name cannot be empty
name-too-long = a name can have at most 32 characters and 96 bytes
name-bad-character = a name cannot contain { $character }: use letters, digits, and . _ - (any script)
name-not-given = no name given: use --as NAME, or set name under [me] in the address book
name-ask = Your name:{" "}

## Addresses

address-empty = the address is empty: write HOST:PORT, for example 127.0.0.1:8081
address-no-port = an address needs a port: HOST:PORT, for example 127.0.0.1:8081
address-bad-port = the port must be a number from 1 to 65535
address-bad-host = the host must be an IP address or a host name
address-no-brackets = put an IPv6 address in brackets: [::1]:8081
address-url = an address is just HOST:PORT, with no http:// before it and nothing after the port
address-not-ascii = a host name has ASCII characters only: write the form that begins with xn--, or an IP address
address-full-width-colon = use an ASCII colon (:), not ：

## Relay

relay-contacts-line = { $count ->
    [one] add this to each member's address book, under [contacts]:
   *[other] add one of these lines, with an address that the member can reach, to each member's address book, under [contacts]:
}
relay-contacts-name = NAME
relay-reloaded = hang-up signal: the addresses that members use were read again ({ $count }); options and limits change only at the next start
relay-limits-off-public = --limits off is for benchmarks and requires a loopback address, not { $addr }
relay-no-message-fits = no message would fit: --pair-bytes, --mailbox-bytes, --all-mailboxes-bytes and --memory-bytes must each be greater than 128; for messages of every length, use 128K
relay-few-files = the system lets this relay open { $files } files, but its limits require { $promised }; raise ulimit -n, or lower --connections

# Lines of the relay's log. Words in `$what` of relay-log-started and relay-log-totals are for scripts.
relay-log-started = started: queqiao { $version } { $what }
relay-log-stopped = stopped: { $why }
relay-log-broken = stopped: a disk has failed; everything that was accepted is kept
relay-log-registered = registered { $name }
relay-log-joined = registered { $name }, whose invitation is used up
relay-log-freed = { $name } is free again: the name was never used
relay-log-refused = refused to sign in { $name }: { $why }
relay-log-why-taken = another key owns the name
relay-log-why-confusable = it looks like the name of another member
relay-log-why-reserved = the name is reserved for the relay
relay-log-why-bad = it is not a valid name
relay-log-why-other = the key has another name here
relay-log-why-too-many = too many names or attempts from there recently
relay-log-why-disk = the disk cannot store names at the moment
relay-log-why-closed = no valid invitation
relay-log-why-kept = the name is kept for an invitation, or the invitation is for another name
relay-log-why-removed = it was removed, and needs an invitation
relay-log-why-full = the relay has its maximum number of members (--members-max)
relay-log-why-old-copy = an old copy of its data directory; the client signs in again with a new outbox
relay-log-invited = invitation created for { $name }
relay-log-invited-anybody = invitation created for any free name
relay-log-invited-again = invitation created for { $name }; the earlier one no longer works
relay-log-removed = removed { $name }
relay-log-signed-in = { $name } signed in from { $from } over { $via }
relay-log-signed-out = { $name } signed out
relay-log-left-out = { $count ->
    [one] 1 more line like these was left out
   *[other] { $count } more lines like these were left out
}
relay-log-disk = disk: { $why }
relay-log-disk-over = disk: writing works again
relay-log-totals = in { $time }: { $what }
relay-log-flood = flood of { $what } begins: { $number } in a second
relay-log-flood-over = flood of { $what } has ended: { $number } in { $time }
relay-log-flood-datagrams = datagrams that belong to no session
relay-log-flood-handshakes = handshakes from unproven addresses
relay-log-flood-connections = TCP connections
relay-log-flood-guests = messages from guests
relay-log-flood-sign-ins = refused sign-ins
relay-log-minutes = { $count } min
relay-log-seconds = { $count } s

## Commands

send-not-accepted = not accepted within { $time } s; the message stays in the outbox and will be sent next time you run queqiao
send-name-refused = not sent: { $why }. Then send it again
send-stays = the message stays in the outbox and will be sent once this is resolved: { $why }
send-not-delivered = accepted, but not delivered within { $time } s
send-no-reply = no reply within { $time } s
send-no-text = nothing to send
listen-time-ran-out = timed out after { $count ->
    [one] 1 message
   *[other] { $count } messages
}

bench-flood-public = --flood is for a relay on this machine, not for { $relay }
bench-idle-public = --idle is for a relay on this machine, at an IPv4 address of 127/8, not for { $relay }
bench-idle-stalled = the relay accepted no more idle members after { $online }; check that it is running, has capacity, and was started with --limits off
bench-idle-lost = { $lost } idle sessions were lost
bench-no-cpu = cannot read the CPU time of process { $pid }: { $cause }
bench-throttled = The relay limits each sender to 100 messages per second, so this measures the limit; start it with --limits off
bench-unsound = messages were lost, refused, duplicated, changed or reordered, or none arrived
bench-bare-alone = --bare starts its own relay, and the load follows from --window or --idle; remove { $argument }
bench-bare-size = --bare compares messages of at most { $max } bytes
bench-bare-linux = --bare needs Linux
bench-rate-and-window = --rate already decides when messages are sent; remove --window
bench-idle-alone = --idle measures members that send nothing; remove { $argument }
bench-no-time = the duration must be greater than zero, for example --secs 5
bench-no-server = a benchmark server process failed: { $cause }

## Address book

book-bare-key = { $file }:{ $line }:{ $column }: put quotes around { $name }: "{ $name }" = …
book-bare-value = { $file }:{ $line }:{ $column }: put quotes around { $value }: "{ $value }"
book-full-width-quotes = { $file }:{ $line }:{ $column }: use straight quotes (")
book-full-width-colon = { $file }:{ $line }:{ $column }: full-width colon (：): use = between name and address, and : before the port
book-full-width-equals = { $file }:{ $line }:{ $column }: full-width equals sign (＝): use =
book-full-width-space = { $file }:{ $line }:{ $column }: full-width space: use an ordinary space
book-full-width-mark = { $file }:{ $line }:{ $column }: { $found } is not valid here: use { $wanted }
book-colon = { $file }:{ $line }:{ $column }: use = (not :) between name and address
book-unclosed-quote = { $file }:{ $line }:{ $column }: unclosed quote: add " at the end
book-no-value = { $file }:{ $line }:{ $column }: { $name } has no address: write { $name } = "HOST:PORT"
book-syntax = { $file }:{ $line }:{ $column }: not valid TOML: { $why }
book-address-empty = { $file }:{ $line }:{ $column }: the address is empty: write HOST:PORT, for example 127.0.0.1:8081
book-address-no-port = { $file }:{ $line }:{ $column }: { $address } has no port: write "{ $address }:8081"
book-address-bad-port = { $file }:{ $line }:{ $column }: the port of { $address } must be a number from 1 to 65535
book-address-bad-host = { $file }:{ $line }:{ $column }: { $address } is not HOST:PORT, like 127.0.0.1:8081 or chat.example.org:8081
book-address-no-brackets = { $file }:{ $line }:{ $column }: an IPv6 address needs brackets and a port: { $fix }
book-address-url = { $file }:{ $line }:{ $column }: { $address } is not HOST:PORT alone: leave out http:// and everything behind the port
book-address-not-ascii = { $file }:{ $line }:{ $column }: { $address } has non-ASCII characters in its host name: write the form that begins with xn--, or an IP address
book-unknown-key = { $file }:{ $line }:{ $column }: unknown key { $key }; allowed here: { $known }
book-unknown-key-near = { $file }:{ $line }:{ $column }: unknown key { $key }: did you mean { $near }?
book-not-entry = { $file }:{ $line }:{ $column }: { $name } must be "HOST:PORT" in quotes, the name of a relay, or a table with relay = "HOST:PORT"
book-not-text = { $file }:{ $line }:{ $column }: { $key } must be text in quotes
book-not-table = { $file }:{ $line }:{ $column }: { $key } must be a table: write [{ $key }] on a separate line
book-below-table = { $file }:{ $line }:{ $column }: { $key } applies to the whole file: move the line to the top, above the first [ ]
book-outside = { $file }:{ $line }:{ $column }: { $name } is outside [contacts]: add the line [contacts] above it
book-duplicate-name = { $file }:{ $line }:{ $column }: { $name } is already defined on line { $first }: rename or remove one
book-duplicate-key = { $file }:{ $line }:{ $column }: { $key } is set twice: remove one
book-tcp-conflict = { $file }:{ $line }:{ $column }: line { $first } gives { $tcp } as the TCP address of { $relay }: use the same in both places
book-key-conflict = { $file }:{ $line }:{ $column }: line { $first } gives { $key } as the key of the relay at { $relay }: keep the one that its operator confirms
book-other-relay-key = { $file } gives { $key } as the key of the relay at { $relay }, not { $offered }; nothing was changed. If its operator confirms the other key, run: queqiao trust { $relay } { $offered }
book-bad-fingerprint = { $file }:{ $line }:{ $column }: not a key fingerprint: it consists of four groups of five characters (a-z, 2-7), as the relay prints it
book-contact-key = { $file }:{ $line }:{ $column }: a contact's key is not checked yet and cannot be set: remove it (the key of the relay is relay_key)
book-not-relay = { $file }:{ $line }:{ $column }: { $name } must be "HOST:PORT" in quotes, or a table with address = "HOST:PORT"
book-no-relay-address = { $file }:{ $line }:{ $column }: { $name } needs address = "HOST:PORT"
book-unknown-relay = { $file }:{ $line }:{ $column }: { $name } is neither HOST:PORT nor a relay in [relays], which has: { $known }
book-unknown-relay-near = { $file }:{ $line }:{ $column }: no relay { $name } in [relays]: did you mean { $near }?
book-dotted-name = { $file }:{ $line }:{ $column }: a name with a dot needs quotes: "{ $name }" = …
book-no-relay = { $file }:{ $line }:{ $column }: { $name } needs relay = "HOST:PORT"
book-me-empty = { $file }:{ $line }:{ $column }: your name is empty: enter one, or put # before the line
book-me-reserved = { $file }:{ $line }:{ $column }: { $name } is reserved for the relay: choose another name
book-name-empty = { $file }:{ $line }:{ $column }: a name cannot be empty
book-name-too-long = { $file }:{ $line }:{ $column }: { $name }… is too long: at most 32 characters and 96 bytes
book-name-space = { $file }:{ $line }:{ $column }: the name "{ $name }" contains a space: remove it
book-name-no-letter = { $file }:{ $line }:{ $column }: the name { $name } must contain a letter or a digit
book-name-bad-character = { $file }:{ $line }:{ $column }: a name cannot contain { $character }: use letters, digits, and . _ - (any script)
book-missing = no address book at { $file }
book-unreadable = cannot read { $file }: { $why }
book-unwritable = cannot write { $file }: { $why }
book-of-other = { $file } belongs to another user; edit it as that user
book-too-big = { $file } is larger than { $most } bytes: is it an address book?
book-not-utf8 = { $file }:{ $line }: not UTF-8: save the file as UTF-8
book-edit-by-hand = { $file } cannot be edited safely by a program; please edit it by hand
book-watch-failed = cannot watch { $file }: { $why }; changes take effect at the next start
book-reloaded = { $file } reloaded
book-reload-failed = still using the previous address book: { $why }
contact-exists = { $name } is already in { $file }
contact-unknown = no contact named { $name }; use NAME@HOST:PORT, or add one: queqiao contacts add { $name } HOST:PORT
contact-unknown-near = no contact named { $name }: did you mean { $near }?
contact-book-empty = no contact named { $name }: the address book is empty; add one: queqiao contacts add { $name } HOST:PORT
contact-needs-name = { $address } is a relay: add a name, NAME@{ $address }
contact-full-width-at = full-width ＠ in { $name }: use @
name-space = a name cannot contain a space
name-no-letter = a name must contain a letter or a digit

## Files and directories

relay-busy = another relay (process { $pid }) is using { $folder }; stop it, or choose another directory with --data DIR
member-busy = { $name } is already running on this machine (process { $pid }), but that process does not respond
member-carriers = process { $pid } holds your session and chooses between UDP and TCP; --tcp and --udp have no effect here
member-no-door = your other commands cannot share this client's session: { $cause }
backup-made = { $file } holds every message that was accepted before { $until }, and the relay's secret key: keep it as safe as the relay's own directory
backup-exists = { $file } exists already; choose another name
backup-no-folder = there is no directory for { $file }; create it, or choose another name
backup-denied = the running relay may not write { $file } ({ $cause }); name a file where its user may write, for example in its data directory
backup-missing = there is no backup in { $file }
backup-not-one = { $file } is no backup of a relay; make one with queqiao relay backup FILE
backup-elsewhere = the relay has written { $file }, but this command finds something else there: the relay sees other directories than this command; name a file in the relay's own directory
backup-busy = another backup is being made, or the relay is very busy; try again later
backup-stopped = the relay stopped before { $file } was complete; nothing is left of it
backup-not-here = only a relay with a directory can be backed up, not { $file }
backup-silent = the relay (process { $pid }) does not respond; check whether it is suspended, then try again
restore-not-empty = { $folder } is not empty; restore into an empty or new directory
restore-done = the relay is restored in { $folder }; messages accepted after { $since } are missing. Start it with: queqiao relay --data { $folder }; the relay that it was copied from must not run again
relay-restored = this relay was restored from a backup: messages accepted after { $since } are missing. Senders are notified when they next connect, and their clients send again what they still have; names registered, invitations created and members removed since then are as they were before the backup
member-unreachable = { $name } is already running on this machine, but other commands cannot reach it: { $cause }
socket-failed = { $file }: { $cause }
socket-not-folder = { $folder } must be a directory for sockets; remove it, or set XDG_RUNTIME_DIR to a directory of yours
socket-of-other-user = it runs as another user (user id { $uid }); run this command as that user
socket-folder-foreign = the directory for sockets { $folder } belongs to another user (user id { $uid }); remove it, or set XDG_RUNTIME_DIR to a directory of yours
socket-folder-open = other users can enter the directory for sockets { $folder } (mode { $mode }); run: chmod 700 { $folder }
store-key-open = { $file } contains a private key but is accessible to others (mode { $mode }); run: chmod 600 { $file }
store-key-damaged = the key in { $file } is damaged; restore the file from a backup
store-key-missing = { $file } is missing, but other files of the same identity exist; restore it from a backup, or start over in an empty directory
store-counter-damaged = { $file } is damaged; delete it, it will be recreated
store-database-missing = { $file } is missing or empty, but the relay's key exists; restore it from a backup, or start over in an empty directory
store-not-database = { $file } is not a queqiao database; move it away or choose another directory with --data DIR
store-database-damaged = { $file } is damaged ({ $cause }); restore it from a backup
letter-damaged = { $file }: message { $number } to { $to } at { $relay } is damaged and will not be sent
store-letter-damaged = { $file }: a message from { $from } to { $to } is damaged (row { $row }); it stays in the file and is not delivered; { $from } is notified
store-letter-damaged-nameless = { $file }: a message to { $to } is damaged (row { $row }); it stays in the file and is not delivered; its sender is unknown
store-commits-missing = { $file } has lost messages: it contains { $found } of { $known } commits, so it or its log (-wal) is damaged, missing, an old copy, or was copied while the relay ran (use queqiao relay backup for that); restore all its files from a backup, or delete { $beside } to continue without them
store-commits-damaged = { $file } is damaged; if the database next to it is intact, delete this file
store-newer = { $file } was created by a newer queqiao (format { $version }); nothing was changed; use that version
store-older = { $file } was created by an older queqiao (format { $version }) and cannot be read by this version; nothing was changed
store-disk-full = no space left on the disk for { $file }; free some space
store-read-only = cannot write { $file }: it is on a read-only file system
store-no-files = cannot open { $file }: this process may open no more files; raise the limit (ulimit -n)
store-link = { $file } is a symbolic link, and private files are not opened through one; put the file itself there
store-folder-open = others may write in { $folder } (mode { $mode }); run: chmod go-w { $folder }
store-not-permitted = no permission to access { $file }: { $cause }
store-not-folder = { $file } is a file, but a directory is needed; choose another directory with --data DIR
store-io = cannot read or write { $file }: { $cause }
store-no-home = home directory not found; choose a directory with --data DIR
store-no-thread = cannot create a thread: { $cause }
pins-damaged = { $file }, line { $line }: { $cause }; correct or delete that line
reach-damaged = { $file } is damaged ({ $cause }); delete it and start the relay, which recreates it

## Network

port-in-use = { $addr } is already in use ({ $carrier }); choose another port, or stop the program that uses it
cannot-bind = cannot listen on { $addr } ({ $carrier }): { $cause }
bind-no-address = the host { $host } has no address to listen at: { $cause }
bind-not-here = this machine does not have the address { $addr } of { $host }; listen at an address that it has, or at every address with :PORT
bind-skipped = { $addr } is not served: this machine does not have it
bind-too-many = { $host } has { $count } addresses on this machine; listen at one of them, or at every address with :PORT
cannot-start = cannot start the event loop: { $cause }
letter-unreadable = a message from { $who } ({ $id }) is of a type that this version cannot display, and was returned to { $who }; update queqiao

## Commands, continued

send-too-long = not sent: the text has { $len } bytes; a message can have at most { $max }
send-input-too-long = not sent: standard input has more than { $max } bytes, the maximum for a message
output-failed = cannot write to standard output: { $cause }
output-disk = the disk for standard output is full: { $cause }
argument-not-utf8 = this argument is not UTF-8: { $argument }; convert it (iconv -t UTF-8), or write it in a UTF-8 terminal
variable-not-utf8 = { $variable } is not UTF-8
variable-not-flag = { $variable }={ $value }: write 1 or 0 (or true, false, yes, no)
option-from-variable = { $option } was set by { $variable }
book-no-relays = no contacts in { $file }; add one: queqiao contacts add NAME HOST:PORT, or join a relay: queqiao join
book-good = { $file }: { $count ->
    [one] 1 contact, no errors
   *[other] { $count } contacts, no errors
}
contact-added = { $name } added to { $file }
contact-unreachable = no relay can be reached at { $relay }, the address of { $name }: it is not the address of one machine
contact-word = { $name } ends a chat, so this contact cannot be chosen there: give it another name, with member = "{ $name }"
contact-alike = { $name } looks like your contact { $other }
contact-removed = { $name } removed from { $file }
fingerprint-bad = not a key fingerprint: it consists of four groups of five characters (a-z, 2-7)
trust-book = { $file } now has the key { $key } for the relay at { $relay }
trust-differs = the key of { $relay } is { $key }, not the one given; nothing was changed
trust-changed = if the operator of { $relay } confirms the new key, run: queqiao trust { $relay } { $offered }

## Command-line help

help = Self-hosted messenger: one relay, terminal clients, UDP with TCP as fallback
help--lang = Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]
help--contacts = Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory]
help--name = Your name [default: name under [me] in the address book]
help--data = Directory for keys, pinned relay keys and messages
help--tcp = Use TCP only
help--udp = Use UDP only
help-relay = Run a relay
help-relay-backup = Copy the relay into one file, while it runs or not
help-relay-backup--file = A new file; a running relay must be able to write there
help-relay-restore = Make a relay of a backup, in an empty directory (--data DIR)
help-relay-restore--file = The backup
help-relay--bind = Where to listen on UDP: IP:PORT, HOST:PORT, PORT (of 127.0.0.1), or :PORT (every address); port 0 picks a free one
help-relay--tcp = Also listen on TCP, on the same address unless another is given
help-relay--address = HOST:PORT where members reach the relay, for the lines it prints and for invitations [default: the machine's addresses]
help-relay--data = Directory for the relay's key, members and mailboxes
help-relay--limits = off lifts the limits on senders; for benchmarks on loopback only
help-relay--keep = How long a message is kept for its recipient (counted while the relay runs)
help-relay--mailbox-letters = Maximum number of messages kept for one member
help-relay--mailbox-bytes = Maximum size of all messages kept for one member
help-relay--pair-letters = Maximum number of messages from one sender kept for one member
help-relay--pair-bytes = Maximum size of all messages from one sender kept for one member
help-relay--guests = Serve plain-text guests; their messages go to NAME (echo replies in upper case)
help-relay--guest-encoding = Encoding of guests; auto detects UTF-8 or GBK for each guest
help-relay--guest-greeting = Greeting for guests on TCP, at most 1,024 bytes
help-relay--guest-limit = Maximum number of guests at a time; guests on UDP take half of it at most
help-relay--guest-anyone = Let guests write to any member by starting with "@NAME "
help-relay--all-mailboxes-bytes = Maximum size of all mailboxes together
help-relay--sender-bytes = Maximum size of all messages from one sender kept for all members together; never more than a sixteenth of --all-mailboxes-bytes
help-relay--memory-bytes = Maximum size of all messages not yet written to disk
help-relay--letters-per-second = Messages per second from one member, long-term average
help-relay--letters-burst = Messages that one member may send at once after a pause
help-relay--control-per-second = Control messages per second from one member, long-term average, without delivery and read receipts
help-relay--control-burst = Control messages that one member may send at once after a pause
help-relay--names-per-hour = New names per hour from one address (except from this machine); 0 allows none
help-relay--all-names-per-hour = New names per hour in total, if other machines can reach the relay; half are for networks that have registered none that day
help-relay--members-max = Maximum number of names; beyond it, only invited members can register
help-relay--sessions = Maximum number of sessions at a time
help-relay--stranger-sessions = Maximum number of sessions at a time that have not signed in
help-relay--reassembly-bytes = Maximum size of data received out of order, all sessions together
help-relay--connections = Maximum number of TCP connections at a time
help-relay--connections-per-address = Maximum number of TCP connections at a time from one address (except from this machine)
help-relay--pair-rate = Bytes per second that a member receives from one sender after a burst; the rest is sent later
help-relay--pair-burst = Bytes that a member receives from one sender at once
help-chat = Chat with your contacts
help-chat--contact = Contact to start with
help-chat--line = Line mode, even in a terminal
help-chat--color = Colours: auto, always, never
help-send = Send a message and report the result
help-send--contact = A contact, NAME@HOST:PORT, or any name if the address book has only one relay
help-send--text = Message text; - reads one message from standard input
help-send--lines = Send each line of standard input as a message
help-send--timeout = Stop waiting after this long without progress; messages not accepted by then are sent next time
help-send--wait = Delivery state to wait for
help-send--reply = Then wait this long for a reply and print it
help-listen = Print incoming messages
help-listen--json = Print one JSON object per line
help-listen--count = Exit after this many messages
help-listen--time = Exit after this long
help-history = Show the message history, oldest first, or erase it
help-history--contact = Only messages with this contact [default: all]
help-history--json = Print one JSON object per line
help-history--last = Only the last N messages
help-history--forget = Erase the history instead of showing it; messages in the outbox and messages that you have not seen are kept
help-history--older = Erase only messages older than this, for example 90d
help-history--yes = Erase everything without asking
help-ping = Measure round-trip time and packet loss to a relay, over UDP and TCP
help-ping--target = Contact or HOST:PORT [default: every relay in the address book]
help-ping--count = Number of probes over UDP and over TCP
help-bench = Load-test a relay (the test names stay registered there)
help-bench--relay = HOST:PORT of the relay, started with --limits off [default: 127.0.0.1:8081]
help-bench--pairs = Pairs of members, one writing to the other [default: 4]
help-bench--window = Messages each pair keeps in flight [default: 64]
help-bench--size = Size of a message's text in bytes, at least 16
help-bench--secs = Duration, after one second of warm-up
help-bench--rate = Send this many messages per second in total, evenly spaced; latency counts from the scheduled time
help-bench--answer = Answer each message with a message; both count
help-bench--bare = Start a relay and a loop that only forwards datagrams, each on one CPU, and compare their CPU time per message (Linux)
help-bench--as-server = Internal: run as a benchmark server until standard input ends
help-bench--tcp = Use TCP instead of UDP
help-bench--flood = Also send this many random datagrams per second (relay on loopback only)
help-bench--idle = Instead of messages: measure what this many idle members cost the relay, each at its own address; with --bare, also what their keep-alives cost the forwarding loop
help-bench--relay-pid = Process ID of the relay, to measure its CPU time per message and its memory (Linux)
help-bench--json = Print one JSON object
help-contacts = Show or edit the address book
help-contacts-list = List the contacts
help-contacts-add = Add a contact
help-contacts-add--name = Your label for the contact
help-contacts-add--relay = Relay of the contact: HOST:PORT, or its name in the address book
help-contacts-add--relay-key = Fingerprint of the relay's key
help-contacts-add--member = Name at the relay, if different
help-contacts-add--note = A note
help-contacts-add--group = Group to list the contact under
help-contacts-add--tcp-addr = TCP address of the relay, if different
help-contacts-remove = Remove a contact
help-contacts-remove--name = Contact to remove
help-contacts-check = Check the address book for errors
help-trust = Show, trust or replace the pinned key of a relay
help-trust--relay = HOST:PORT, a relay of the address book, or a contact there
help-trust--fingerprint = Fingerprint that the operator has confirmed
send-lines-no-reply = --reply waits for the reply to one message; it cannot be combined with --lines

## Command line: what clap prints

cli-usage = Usage:
cli-commands = Commands:
cli-arguments = Arguments:
cli-options = Options:
cli-options-placeholder = [OPTIONS]
cli-help = Show this help
cli-version = Show the version
cli-default = [default: { $value }]
cli-possible = [possible values: { $values }]
cli-env = [env: { $name }]
cli-more = More: { $command } --help
cli-joint = ;{" "}
cli-full-stop = .{" "}
cli-no-command = no command given
cli-unknown-command = unknown command { $command }
cli-unknown-command-near = unknown command { $command }; did you mean { $near }?
cli-unknown-option = unknown option { $argument }; to send text that begins with -, put -- before it
cli-unknown-option-near = unknown option { $argument }; did you mean { $near }?
cli-unknown-option-plain = unknown option { $argument }
cli-option-elsewhere = { $command } does not use { $argument }
cli-option-after-command = { $argument } must come after the command
cli-needs-equals = write { $argument }={ $value }, with = before the value
cli-missing = missing: { $arguments }
cli-no-value = { $argument } needs a value
cli-invalid-value = invalid value { $value } for { $argument }: { $why }
cli-invalid-choice = invalid value { $value } for { $argument }; possible values: { $values }
cli-conflict = { $argument } cannot be used with { $other }
cli-twice = { $argument } can be given only once
cli-extra = unexpected argument { $value }
cli-why-duration = expected a duration such as 500ms, 10s, 2m, 1h or 30d
cli-why-duration-max = at most 36500d
cli-why-duration-positive = expected more than 0, for example 10s, 2m, 1h or 30d
cli-why-unit = a unit is missing, for example { $value }s, { $value }m, { $value }h or { $value }d
cli-why-size = expected a size such as 512K, 32M or 1G
cli-why-number = expected a number from { $min } to { $max }
cli-why-bind = expected HOST:PORT, PORT or :PORT, for example 127.0.0.1:8081, [::1]:8081, or :8081 for every address
cli-why-greeting = at most 1,024 bytes
cli-why-language = en or zh
value-command = COMMAND
value-name = NAME
value-contact = CONTACT
value-relay = RELAY
value-text = TEXT
value-file = FILE
value-dir = DIR
value-host-port = HOST:PORT
value-duration = DURATION
value-size = SIZE
value-fingerprint = FINGERPRINT
value-code = CODE
value-invitation = INVITATION
value-bytes = BYTES
value-seconds = SECONDS
value-pid = PID
history-cut = the last { $count } messages; for more: --last N, --since 7d or --all
history-none = no messages
history-no-contact = no contact named { $name }, and no messages with that name
history-contact-several = you have messages with more than one { $name }: { $names }; name one of them
contact-none = no contact named { $name } in { $file }
help-history--since = Only messages from the last 2d, 5h, …
help-history--all = All messages [default: in a terminal the last 50, else all]
help-contacts-list--json = Print one JSON object per line
help-contacts-list--names = Print the names alone, one per line
help-help = Show the help of a command
help-help--command = Command [default: an overview]
help-generate = Write manual pages, or completions of a shell
help-generate-man = Write a manual page of each command into a directory
help-generate-man--dir = Directory for the pages, which is created if it is missing
help-generate-completions = Print the completions of a shell; contacts complete by name
help-generate-completions--shell = Shell
generate-man = { $count } manual pages written to { $folder }; to read one: man -l { $folder }/queqiao.1
man-manual = Queqiao manual
man-name = NAME
man-synopsis = SYNOPSIS
man-description = DESCRIPTION
man-options = OPTIONS
man-commands = COMMANDS
man-extra = SEE ALSO
man-version = VERSION


## Demo

demo-among = You are { $name }, on a relay in this process. Write to JACK, 一棵树 or 武大郎. /help lists the commands, Ctrl-D quits.
demo-replies = sounds good!|tell me more|up to you|see you at the bridge
demo-relay = a relay is ready at { $relay }, over UDP and TCP
demo-online = { $who } [{ $via }] is online
demo-sent = { $from } [{ $via }] to { $to }: { $text }  (delivered { $id })
demo-came = { $who } [{ $via }] received from { $from }: { $text }  ({ $id })
demo-cut = UDP is blocked: datagrams from { $who } do not reach the relay
demo-mended = UDP is restored: datagrams from { $who } reach the relay again
demo-moved = { $who } [{ $via }]: { $what }
demo-left = { $who } is offline
demo-waits = { $from } [{ $via }] to { $to }: { $text }  (waiting in the mailbox { $id })
demo-done = done: { $count ->
    [one] 1 message
   *[other] { $count } messages
}, each delivered once and in order
demo-failed = the demo failed: { $who } timed out
help-demo = Demo: a relay and a few members in one process; in a terminal you are one of them
help-demo--color = Colours: auto, always, never
demo-twice = the demo failed: { $who } received a message twice

## Outbox

send-not-kept = not saved within { $time } s: the disk, or the process that holds your session, does not respond; the message may still be sent
unkept-disk = Not sent: your message to { $who } could not be written to disk
unkept-full = Not sent: your outbox holds { $count } messages or 256 MiB not yet delivered; wait until { $who } and others have fetched some
chat-waiting = Not delivered to { $who } yet; waiting until { $until }
chat-state-accepted = “{ $text }” to { $who }: accepted by the relay
chat-state-waiting = “{ $text }” to { $who }: waiting until { $until }
chat-state-read = ✔✔ read by { $who }: “{ $text }”

## Guests

desk-answer = Reply:{" "}
desk-incoming = Message from [{ $who }]:{" "}
desk-no-input = there is no input, so no message is answered here; the relay keeps serving until it is stopped (SIGTERM)
desk-nobody-waits = No guest is waiting for a reply. Not sent:
desk-no-guests = no recent guests
desk-begins = You are { $name }; guests write to you at { $relay }; type quit to stop the relay
relay-guests-echo = the relay answers each guest with its own text in upper case, and keeps nothing of it; Ctrl-C stops the relay
desk-begins-terminal = You are { $name }; guests write to you at { $relay }; /help for commands, quit to stop the relay
desk-guest = guest { $number }
desk-incoming-guest = Message from guest { $number } ({ $address }) { $time }:{" "}
desk-ask-left = { $before } has left; send "{ $text }" to { $who } instead? Enter again sends, /to N chooses another guest
desk-ask-new = send "{ $text }" to { $who }? Enter again sends, /to N chooses another guest
desk-left-not-sent = { $who } has left. Not sent:
desk-gone = { $who } has left already
desk-refused-gone = Not delivered: { $who } has left
desk-no-such-guest = no guest { $text }; /who lists the guests
desk-help-title = A text goes to the guest that the prompt names. Commands:
desk-quit-waits = { $who } is waiting for an answer; /quit stops the relay
desk-help-quit-word = go back to the guest that has waited longest; if no guest waits, stop the relay
desk-help-who = list the guests
desk-help-to = answer guest N
desk-help-close = end the conversation with the guest that the prompt names
desk-help-quit = stop the relay
chat-guest = guest { $who } at { $address }, last message { $heard }; not authenticated, not encrypted
chat-help-close = end the conversation with a guest
chat-close-no-guest = No guest selected; choose a guest first
help-relay--desk = Answer guests in this window as NAME [default: DESK]; implies --guests NAME
guest-told-away = { $name } is away. Your message has been saved.
guest-told-nobody = There is no user with that name.
guest-told-no-web = This is not a website: connect with nc or telnet and write plain text.
guest-told-full = Your message could not be accepted. Please try again later.
guest-ended = [{ $who }] has finished sending and can receive replies for one more minute
guest-left = [{ $who }] has left
guest-closed = You ended the conversation with [{ $who }]
chat-incoming-guest = Message from { $who } (a guest) [{ $via }] { $time }:{" "}
refused-guest-gone = Not delivered: guest { $who } has left
send-guest-confirms-nothing = handed to the guest; guests send no receipts, so delivery cannot be confirmed
relay-guests-unregistered = { $name } is not registered yet; until { $name } signs in for the first time, messages from guests have no recipient

## Members

name-closed = { $relay }: this relay is invitation-only; ask its operator for an invitation
name-kept = { $name } is reserved at { $relay } for an invited member; choose another name with --as
name-invited-other = your invitation to { $relay } is for the name { $other }; use --as { $other }
name-removed = { $relay }: its operator has removed you; ask for a new invitation
invite-bad = not a valid invitation code: it consists of 26 letters and digits
invite-empty = no invitation given: it is a line that begins with queqiao:
invite-not-one = not an invitation: { $text } does not begin with queqiao:
invite-space = the invitation has a space or a line break after “{ $text }”: it must be one line without spaces
invite-unknown-field = unknown field { $field } in the invitation; allowed: { $known }
invite-twice = the invitation has the field { $field } twice
invite-lacks = incomplete invitation: { $field }=… is missing; copy the whole line
invite-bad-key = { $key } in the invitation is not a key fingerprint: it consists of four groups of five characters (a-z, 2-7)
invite-bad-tcp = tcp={ $tcp } in the invitation is not a port: use a number from 1 to 65535
invite-bad-name = { $name } in the invitation is not a percent-encoded name
join-ask = Invitation (the line that begins with queqiao:, not shown):{" "}
join-on-command-line = other users of this machine can read an invitation on the command line; next time run queqiao join and paste it
join-used = { $relay }: this invitation was used already, has expired, or was withdrawn; ask the operator for a new one
join-silent = not signed in at { $relay } within { $time } s; nothing was changed; run queqiao join again with the same line
join-not-written = { $name } is registered at { $relay }, but the address book could not be changed; add { $line } under [relays]: { $why }
join-done = { $name } is signed in at { $relay }, whose key { $key } is as invited; the relay is in { $file } as { $relay_name }
join-next = next: queqiao chat{ $as }, or queqiao send{ $as } NAME{ $at } "hello"
members-no-address = the address of the relay in { $folder } is not known yet, because it has never run; start it, or use --address HOST:PORT
members-loopback = { $relay } can be reached from this machine only; for members elsewhere, start the relay with --bind { $bind }, or use --address HOST:PORT
members-other-addresses = the relay is also at { $addresses }; to invite to one of them, or to a host name, use --address HOST:PORT
help-members-invite--address = HOST:PORT where members reach the relay [default: its address when it was last started]
help-join = Join a relay with an invitation: read it from the terminal or standard input, check the key, sign in
help-join--invitation = Invitation; better pasted when asked, because other users of this machine can read arguments
members-invited = invitation for { $who } (single use, valid until { $until }); { $who } runs queqiao join and pastes this line:
members-invited-anybody = invitation for any free name (single use, valid until { $until }); the new member runs queqiao join and pastes this line:
members-invited-again = { $name } was invited already: the earlier invitation no longer works
members-removed = { $name } was removed; the name stays reserved until you invite someone with it
members-none = no members and no invitations
members-no-relay = { $folder } is not a relay's data directory; specify it with --data DIR
members-unknown = { $name } is not a member of the relay in { $folder }; list the members with: queqiao members list
members-taken = { $name } is already a member; choose another name, or remove that member first
members-confusable = { $name } looks too much like the member { $other }; choose another name, or invite this one while the relay runs with --closed
members-alike = { $name } looks like the member { $other }; this invitation is for exactly { $name }
members-reserved = { $name } is reserved for the relay; choose another name
members-full = { $count } invitations are already open; wait until some expire
members-disk = could not be saved: the disk of { $folder } has failed or is full
members-silent = the relay (process { $pid }) does not respond; it may still carry this out; check with: queqiao members list
help-relay--loopback-too = Limit handshakes over loopback like those from any other network; for benchmarks
help-relay--closed = Register new names by invitation only (queqiao members invite)
help--invite = Invitation code, for an invitation-only relay
help-members = Manage who may use a relay (for its operator, on the relay's machine)
help-members--data = The relay's data directory
help-members-list = List the members and the open invitations
help-members-list--json = Print one JSON object per line
help-members-invite = Create an invitation, one line that the new member gives to queqiao join
help-members-invite--name = Name to reserve for the new member [default: any free name]
help-members-invite--time = How long the invitation is valid
help-members-remove = Remove a member: ends the session and returns waiting messages to their senders
help-members-remove--name = Member to remove

## Unwanted messages

chat-incoming-stranger = Message from { $who } (not in your contacts) [{ $via }] { $time }:{" "}
chat-looks-like = Warning: { $who } at { $relay } is not your contact { $contact }; the names only look alike
chat-help-block = block someone
chat-help-unblock = unblock someone
contact-blocked = { $name } is blocked in { $file }; messages from { $name } are refused
contact-unblocked = { $name } is no longer blocked in { $file }
book-not-switch = { $file }:{ $line }:{ $column }: { $key } must be true or false, without quotes
help-contacts-block = Block a contact
help-contacts-block--name = A contact, or NAME@HOST:PORT, which is then added to the contacts
help-contacts-unblock = Unblock a contact
help-contacts-unblock--name = A contact
help--contacts-only = Accept messages from contacts only; to do so always, set contacts_only = true in the address book

## Line mode on a terminal

chat-prompt = To { $who }:{" "}
chat-to = to { $who }
chat-to-at = to { $who } ({ $address })
chat-own = To { $who } { $time }:{" "}
history-own = To { $who } [{ $state }] { $time }:{" "}
history-queued = queued
history-accepted = accepted
history-waiting = waiting until { $until }
history-delivered = delivered
history-read = read
history-damaged = damaged
history-old-copy = refused: old copy of the data directory; may have arrived
chat-day = ── { $day } ──
chat-which = { $name }: which one? { $names }
chat-ask-name = send "{ $text }" to { $who }? Enter again sends, /to { $text } switches
chat-ask-lines = send these { $count } lines to { $who } as one message? Enter again sends
chat-not-sent = Not sent: “{ $text }”; the up arrow brings it back
chat-new = ── new ──
chat-start = You are { $me }; relays: { $addresses }
chat-start-alone = You are { $me }
chat-start-help = Type a name to write to someone, /help for commands, quit to leave
chat-start-help-to = /help for commands, quit to choose someone else
chat-demo-book = Not in the demo: its address book cannot be changed
chat-start-empty = The address book is empty. Add a contact: queqiao contacts add NAME HOST:PORT, or accept an invitation: queqiao join
chat-name-new = { $who } ({ $count } new)
chat-unread = Unread: { $names }
chat-no-unread = No unread messages
chat-no-recipient = No recipient; choose one first: /to CONTACT
chat-already-contact = { $who } is in your contacts already
chat-target-blocked = You block { $who }: replies are refused until you run /unblock { $who }
chat-target-left = { $who } is no longer in your contacts
path-tcp-refused = { $relay } does not accept TCP and stays on UDP; to accept it, its operator starts it with --tcp
path-tcp-silent = { $relay } does not respond over TCP and stays on UDP
chat-status-contacts = contacts: { $names }
chat-status-nothing-waits = No messages waiting
chat-start-unsent = Not sent yet: { $names }
chat-status-unsent = waiting to be sent: { $names }
chat-status-kept = kept by the relay: { $names }
chat-name-count = { $who } ({ $count })
chat-name-blocked = { $who } (blocked)
chat-status-other-key = { $relay }: shows another key than expected; nothing is sent to it
chat-quit-waits = { $count ->
    [one] Waiting up to { $seconds } s for the last message to be sent; Ctrl-C ends at once, and it stays in the outbox
   *[other] Waiting up to { $seconds } s for { $count } messages to be sent; Ctrl-C ends at once, and they stay in the outbox
}
chat-kept = Not sent: “{ $text }”; choose a recipient first ({ $names }), then the up arrow brings it back
chat-kept-alone = Not sent: “{ $text }”; choose a recipient first, then the up arrow brings it back
chat-recalled = The up arrow brings back “{ $text }”
chat-reply-which = { $who } has just written too; choose one with /to: { $names }
chat-unknown = no contact named { $name }; for a member who is not a contact, add the relay: { $names }
chat-unknown-near = no contact named { $name }: did you mean { $near }? For a member who is not a contact, add the relay: { $names }
date-short = { $day } { $count ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
}
chat-relay-of = relay of { $names } ({ $relay })
chat-help-reply = write to the sender of the newest unread message
chat-help-unread = list the senders of unread messages
chat-help-history = show the last messages with this contact
chat-help-add = add someone who wrote to your contacts
chat-left-outbox = { $count ->
    [one] 1 unsent message stays in the outbox; the next run sends it
   *[other] { $count } unsent messages stay in the outbox; the next run sends them
}
name-save = Save { $name } as your name in { $file }? [y/N]{" "}
name-saved = { $file }: your name is { $name } from now on

## Errors of the system, by number (Linux)

os-error-lookup = no address found for it
os-error-1 = Operation not permitted
os-error-2 = No such file or directory
os-error-4 = Interrupted system call
os-error-5 = Input/output error
os-error-11 = Resource temporarily unavailable
os-error-12 = Cannot allocate memory
os-error-13 = Permission denied
os-error-16 = Device or resource busy
os-error-17 = File exists
os-error-18 = Invalid cross-device link
os-error-20 = Not a directory
os-error-21 = Is a directory
os-error-22 = Invalid argument
os-error-23 = Too many open files in system
os-error-24 = Too many open files
os-error-26 = Text file busy
os-error-27 = File too large
os-error-28 = No space left on device
os-error-30 = Read-only file system
os-error-32 = Broken pipe
os-error-36 = File name too long
os-error-40 = Too many levels of symbolic links
os-error-97 = Address family not supported by protocol
os-error-98 = Address already in use
os-error-99 = Cannot assign requested address
os-error-101 = Network is unreachable
os-error-104 = Connection reset by peer
os-error-110 = Connection timed out
os-error-111 = Connection refused
os-error-113 = No route to host
os-error-122 = Disk quota exceeded
