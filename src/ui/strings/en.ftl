# Sentences for people, English. zh.ftl has the same keys with the same arguments; a test holds that.
# `count` is a number; every other argument is a text and has been made harmless.

## Line mode

chat-choose = Choose a contact:{" "}
chat-write = Type a message, Enter sends:{" "}
chat-incoming = Message from { $who } [{ $via }] { $time }:{" "}
chat-missing = { $count ->
    [one] 1 letter missing here
   *[other] { $count } letters missing here
}
chat-contacts = Contacts: { $names }
chat-no-contacts = The address book has no contacts; add one: queqiao contacts add NAME HOST:PORT
chat-any-name = No contacts yet; type any name at { $relay }, or add one: queqiao contacts add NAME { $relay }
chat-no-such-command = Not sent: there is no command { $command }; /help lists them. To send a text that begins with /, write //
chat-command-usage = Not sent: it is { $usage }
chat-slashguard = Not sent: it looks like a command with something before it. The command is { $command }; to send a text that begins with /, write //
chat-too-long = Not sent: the text has { $len } bytes, a letter at most { $max }. Here it is again:
chat-text-back = Your text:
chat-receipts-on = Receipts are shown
chat-receipts-off = Receipts are not shown
chat-receipt = ✓ { $who } has “{ $text }”
chat-not-accepted-yet = { $count ->
    [one] The relay has not taken your letter to { $who } yet: “{ $text }”
   *[other] The relay has not taken { $count } letters to { $who } yet
}
chat-not-delivered-yet = { $count ->
    [one] { $who } has not received your letter yet: “{ $text }”
   *[other] { $who } has not received { $count } letters yet
}
chat-delivered-late = Everything you wrote to { $who } has arrived now
chat-left-unsent = { $count ->
    [one] 1 letter was not taken by the relay in time; it stays in the outbox and goes out with the next run
   *[other] { $count } letters were not taken by the relay in time; they stay in the outbox and go out with the next run
}
chat-status-online = { $relay }: connected over { $via }
chat-status-connecting = { $relay }: connecting
chat-status-lost = { $relay }: connection lost, connecting again
chat-status-unreached = { $relay }: not reached, trying again
chat-status-stopped = { $relay }: stopped, it does not take this name
chat-help-title = What can be typed:
chat-help-line = { $usage }  { $meaning }
chat-help-quit-word = back to choosing a contact; there, end
chat-help-slashes = send a text that begins with /
chat-help-help = show this list
chat-help-who = list the contacts
chat-help-to = go to another contact
chat-help-status = show how each relay is reached
chat-help-path = send over UDP or TCP only, or over whichever is better
chat-path-udp = Only UDP is used
chat-path-tcp = Only TCP is used
chat-path-auto = UDP is used where it gets through, TCP where it does not
chat-help-receipts = show each letter that has arrived, or not
chat-help-quit = end

## What was typed or piped in

input-not-utf8 = Not sent: this line is not UTF-8
input-dropped = Not UTF-8, so left out; the rest of your text is kept
input-set-locale = not UTF-8, so left out. Set your terminal to UTF-8, then run: export LC_ALL=C.UTF-8 ({ $locale } now)
input-too-long = Not sent: this line is longer than { $max } bytes
input-failed = Standard input cannot be read: { $cause }

## Letters refused

refused-unknown = Not delivered: { $who } has never signed in at { $relay }, or was removed there
refused-unknown-there = Not delivered: no member { $who } at the relay
refused-full = Not delivered: the mailbox of { $who } is full, or { $who } keeps no more messages from people who are not in the address book there
refused-too-long = Not delivered: the letter is longer than the relay takes
refused-blocked = Not delivered: { $who } does not take letters from you
refused-expired = Not delivered: { $who } did not come for it in time
refused-behind = Not delivered: the letter before it was refused
refused-old-copy = Not delivered: your data folder was an old copy; send it again
refused-damaged = Not delivered: a disk has damaged it; send it again
refused-unsupported = Not delivered: the program of { $who } cannot show a message of this kind
refused-other = Not delivered: { $who }, for reason { $code }, which this version does not know; update queqiao
refused-may-have-arrived = It may have arrived all the same
refused-nearest = Members with names like it: { $names }

## Relays: reached or not

relay-silent = no relay answers at { $relay }; start one: queqiao relay --tcp
relays-silent = { $count ->
    [one] no relay answers at { $relay } and 1 other; start one: queqiao relay --tcp
   *[other] no relay answers at { $relay } and { $count } others; start one: queqiao relay --tcp
}
relay-no-tcp = no TCP listener at { $relay }; start the relay with --tcp
relay-no-host = the host of { $relay } has no address; check its spelling in the address book
relay-no-name-server = no name server answers for the host of { $relay }; check this machine's network, or use an IP address
relay-no-route = no route to { $relay }; check the address and this machine's network
ping-one-carrier = only one of UDP and TCP gets an answer from { $relay }; a firewall may drop the other
relay-not-permitted = this machine sends nothing to { $relay }: a local firewall or rule forbids it
relay-too-big = the network to { $relay } takes no UDP packets of 1,200 bytes; raise its MTU to 1,280, or use TCP (start the relay with --tcp)
relay-no-room = the system has no socket left to reach { $relay }; raise the limit on open files (ulimit -n)
relays-unreached = { $relay } and { $count ->
    [one] 1 other
   *[other] { $count } others
} cannot be reached; check this machine's network
relay-name-not-written = the relay at { $relay } cannot register new names now; trying again
relay-refused = the relay at { $relay } answers, but cannot prove its key or does not take ours
relay-key-changed = the relay at { $relay } shows another key than the pinned one ({ $pinned }): nothing is sent there. If its operator confirms the new key: queqiao trust { $relay } { $offered }
relay-key-unlike-book = the relay at { $relay } shows the key { $offered }, but the expected one is { $wanted }: nothing is sent there. If its operator confirms the key that it shows: queqiao trust { $relay } { $offered }
relay-key-unlike-pin = the expected key of the relay at { $relay }, { $wanted }, is not the pinned one ({ $pinned }): nothing is sent there. If its operator confirms the expected key: queqiao trust { $relay } { $wanted }
relay-pinned = first contact with the relay at { $relay }: its key { $key } is pinned; ask its operator whether it is the right one
relay-lost = connection to { $relay } lost; connecting again
relay-online = connected to { $relay } over { $via }
relay-online-again = connected to { $relay } again, over { $via }
relay-moved-silent = { $relay }: UDP has fallen silent, the conversation goes on over TCP
relay-moved-poor = { $relay }: UDP loses too much, the conversation goes on over TCP
relay-moved-proved = { $relay }: UDP gets through, the conversation goes on over UDP
relay-moved-broken = { $relay }: the TCP connection ended, the conversation goes on over UDP
relay-moved-asked = { $relay }: the conversation goes on over { $via }, as you asked
notice-at = { $time }  { $what }
history-forget-alone = --json and --last are for printing, --forget erases: use one or the other
history-needs-forget = --older and --yes go with --forget
history-forget-all = this erases what was said with everybody; name a contact or an age (--older 90d), or say --yes
history-forget-ask = Erase all { $count } messages, with everybody? (y/N){" "}
history-forget-not = nothing was erased
history-waiting-stay = { $count } messages that are on their way stay
history-unseen-stay = { $count } messages that you have not seen stay; queqiao listen shows them
history-in-use = erased from the history, but another process still reads { $file } as it was; run this again when it has ended
strangers-full = messages from people who are not in your address book take { $size } MiB: more of them are refused; queqiao history --forget makes room, and so does queqiao contacts add
relay-replaced = another machine signed in at { $relay } with your key, or this one did at another address of the same relay; this session has stopped
outbox-lost = { $count ->
    [one] the relay at { $relay } was restored from a backup: a message to { $who } that it had accepted may not have arrived; it is sent again, and not shown twice
   *[other] the relay at { $relay } was restored from a backup: { $count } messages to { $who } that it had accepted may not have arrived; they are sent again, and none is shown twice
}
outbox-old-copy = This data folder is an old copy: another copy of it has been used at { $relay } since. What you write from now on goes out as usual; messages that waited come back, and may have arrived

## Names

name-taken = { $name } is taken at { $relay }: another key owns it; choose another name with --as
name-confusable = { $name } looks like { $other }, which is taken at { $relay }; choose another name with --as
name-reserved = { $name } is reserved for the relay; choose another name with --as
name-bad = { $name } is no name: 1 to 32 letters, digits, and . _ - of any script
name-other = your key has the name { $other } at { $relay } already; use --as { $other }
name-other-unknown = your key has another name at { $relay } already
name-too-many = too many names were registered at { $relay } from here lately; try again in an hour
name-relay-full = { $relay } has as many members as it takes; ask its operator for an invitation
name-empty = a name cannot be empty
name-too-long = a name has at most 32 characters and 96 bytes
name-bad-character = a name cannot hold { $character }: letters, digits, and . _ - of any script
name-not-given = who are you? Give a name with --as NAME, or under [me] in the address book
name-ask = Your name:{" "}

## Addresses

address-no-port = an address needs a port: HOST:PORT, for example 127.0.0.1:8081
address-bad-port = the port must be a number from 1 to 65535
address-bad-host = the host must be an IP address or a host name
address-no-brackets = an IPv6 address stands in brackets: [::1]:8081
address-url = an address is HOST:PORT alone, without http:// before it and without anything behind the port
address-not-ascii = a host name has ASCII characters only: write the form that begins with xn--, or an IP address
address-full-width-colon = write the colon as : and not as ：

## The relay

relay-contacts-line = { $count ->
    [one] add this to each member's address book, under [contacts]:
   *[other] add one of these lines, with an address that they reach, to each member's address book, under [contacts]:
}
relay-contacts-name = NAME
relay-reloaded = hang-up signal: read again the addresses that members use ({ $count }); options and limits change at the next start only
relay-limits-off-public = --limits off is for benchmarks and needs a loopback address, not { $addr }
relay-no-message-fits = no message would fit: --pair-bytes, --mailbox-bytes, --all-mailboxes-bytes and --memory-bytes must each be above 128; for texts of every length, 128K
relay-few-files = the system lets this relay open { $files } files; its limits promise { $promised }: raise ulimit -n, or lower --connections

# Lines of the relay's log. Words in `$what` of relay-log-started and relay-log-totals are for scripts.
relay-log-started = started: queqiao { $version } { $what }
relay-log-stopped = stopped: { $why }
relay-log-broken = stopped: a disk has failed; everything accepted until now is kept
relay-log-registered = registered { $name }
relay-log-joined = registered { $name }, whose invitation is used up
relay-log-freed = { $name } is free again: the name was never used
relay-log-refused = refused to sign in { $name }: { $why }
relay-log-why-taken = another key owns the name
relay-log-why-confusable = it looks like the name of another member
relay-log-why-reserved = the name is reserved for the relay
relay-log-why-bad = it is not a valid name
relay-log-why-other = the key has another name here
relay-log-why-too-many = too many names or attempts from there lately
relay-log-why-disk = the disk takes no names at the moment
relay-log-why-closed = no valid invitation
relay-log-why-kept = the name is kept for an invitation, or the invitation is for another name
relay-log-why-removed = it was removed, and needs an invitation
relay-log-why-full = the relay has its maximum number of members (--members-max)
relay-log-why-old-copy = an old copy of its data directory; the client signs in again with a new outbox
relay-log-invited = invitation made for { $name }
relay-log-invited-anybody = invitation made for any free name
relay-log-invited-again = invitation made for { $name }; the earlier one has ended
relay-log-removed = removed { $name }
relay-log-signed-in = { $name } signed in from { $from } over { $via }
relay-log-signed-out = { $name } signed out
relay-log-left-out = { $count ->
    [one] 1 more line like these was left out
   *[other] { $count } more lines like these were left out
}
relay-log-disk = disk: { $why }
relay-log-disk-over = disk: it takes messages again
relay-log-totals = in { $time }: { $what }
relay-log-flood = flood of { $what } begins: { $number } in a second
relay-log-flood-over = flood of { $what } has ended: { $number } in { $time }
relay-log-flood-datagrams = datagrams that are not of a session
relay-log-flood-handshakes = handshakes from unproven addresses
relay-log-flood-connections = TCP connections
relay-log-flood-guests = texts of guests
relay-log-flood-sign-ins = refused sign-ins
relay-log-minutes = { $count } min
relay-log-seconds = { $count } s

## Commands

send-not-accepted = not accepted within { $time }; it stays in the outbox and goes out with the next run
send-stays = the letter stays in the outbox, and goes out when this is settled: { $why }
send-not-delivered = accepted, but not delivered within { $time }
send-no-reply = no reply within { $time }
send-no-text = there is no text to send
listen-time-ran-out = time ran out after { $count ->
    [one] 1 letter
   *[other] { $count } letters
}

bench-flood-public = --flood is for a relay on this machine, not for { $relay }
bench-idle-public = --idle is for a relay on this machine, at an IPv4 address of 127/8, not for { $relay }
bench-idle-stalled = the relay took no more idle members after { $online }; is it there, with room for them and --limits off?
bench-idle-lost = { $lost } idle sessions were lost
bench-no-cpu = the CPU time of process { $pid } cannot be read: { $cause }
bench-throttled = The relay holds each sender to 100 letters a second, so this measures its limits; start it with --limits off
bench-unsound = letters were lost, refused, doubled, changed or out of order, or none came through
bench-bare-alone = --bare starts its own relay, and lets the window or --idle decide how much it does: leave out { $argument }
bench-bare-size = --bare compares letters of at most { $max } bytes
bench-bare-linux = --bare needs Linux
bench-rate-and-window = with --rate no window decides when letters are written: leave out --window
bench-idle-alone = --idle measures members who say nothing: leave out { $argument }
bench-no-time = the measurement needs more than no time: --secs 5
bench-no-server = a server of the bench's own does not run: { $cause }

## The address book

book-bare-key = { $file }:{ $line }:{ $column }: put quotes around { $name }: "{ $name }" = …
book-bare-value = { $file }:{ $line }:{ $column }: put quotes around { $value }: "{ $value }"
book-full-width-quotes = { $file }:{ $line }:{ $column }: these quotes are not TOML's: write " (ASCII) around it
book-full-width-colon = { $file }:{ $line }:{ $column }: full-width ：: write = between a name and its address, and : before the port
book-full-width-equals = { $file }:{ $line }:{ $column }: full-width ＝: write = instead
book-full-width-space = { $file }:{ $line }:{ $column }: full-width space: write an ordinary space instead
book-full-width-mark = { $file }:{ $line }:{ $column }: { $found } is not understood here: write { $wanted } instead
book-colon = { $file }:{ $line }:{ $column }: write = (not :) between a name and its address
book-unclosed-quote = { $file }:{ $line }:{ $column }: this quote is never closed: put " at the end
book-no-value = { $file }:{ $line }:{ $column }: { $name } has no address: write { $name } = "HOST:PORT"
book-syntax = { $file }:{ $line }:{ $column }: not valid TOML: { $why }
book-address-no-port = { $file }:{ $line }:{ $column }: { $address } has no port: write "{ $address }:8081"
book-address-bad-port = { $file }:{ $line }:{ $column }: the port of { $address } must be a number from 1 to 65535
book-address-bad-host = { $file }:{ $line }:{ $column }: { $address } is not HOST:PORT, like 127.0.0.1:8081 or chat.example.org:8081
book-address-no-brackets = { $file }:{ $line }:{ $column }: an IPv6 address needs brackets and a port: { $fix }
book-address-url = { $file }:{ $line }:{ $column }: { $address } is not HOST:PORT alone: leave out http:// and everything behind the port
book-address-not-ascii = { $file }:{ $line }:{ $column }: { $address } has other characters than ASCII in its host name: write the form that begins with xn--, or an IP address
book-unknown-key = { $file }:{ $line }:{ $column }: unknown key { $key }; known here: { $known }
book-unknown-key-near = { $file }:{ $line }:{ $column }: unknown key { $key }: did you mean { $near }?
book-not-entry = { $file }:{ $line }:{ $column }: { $name } must be "HOST:PORT" in quotes, the name of a relay, or a table with relay = "HOST:PORT"
book-not-text = { $file }:{ $line }:{ $column }: { $key } must be text in quotes
book-not-table = { $file }:{ $line }:{ $column }: { $key } must be a table: write [{ $key }] on a line of its own
book-below-table = { $file }:{ $line }:{ $column }: { $key } holds for the whole file: move the line to the top, above the first [ ]
book-outside = { $file }:{ $line }:{ $column }: { $name } stands outside [contacts]: put the line [contacts] above it
book-duplicate-name = { $file }:{ $line }:{ $column }: { $name } is on line { $first } already: rename or remove one
book-duplicate-key = { $file }:{ $line }:{ $column }: { $key } is given twice: remove one
book-tcp-conflict = { $file }:{ $line }:{ $column }: line { $first } says that { $relay } listens for TCP at { $tcp }: make both the same
book-key-conflict = { $file }:{ $line }:{ $column }: line { $first } says that the key of the relay at { $relay } is { $key }: keep the one that its operator confirms
book-other-relay-key = { $file } says that the key of the relay at { $relay } is { $key }, not { $offered }: nothing was changed. If its operator confirms the other key: queqiao trust { $relay } { $offered }
book-bad-fingerprint = { $file }:{ $line }:{ $column }: not the fingerprint of a key: it has four groups of five letters or digits (a-z, 2-7), as in the line that the relay prints
book-contact-key = { $file }:{ $line }:{ $column }: the key of a contact is not checked yet, so it cannot be given: remove it (the key of the relay is relay_key)
book-not-relay = { $file }:{ $line }:{ $column }: { $name } must be "HOST:PORT" in quotes, or a table with address = "HOST:PORT"
book-no-relay-address = { $file }:{ $line }:{ $column }: { $name } needs address = "HOST:PORT"
book-unknown-relay = { $file }:{ $line }:{ $column }: { $name } is neither HOST:PORT nor a relay in [relays], which has: { $known }
book-unknown-relay-near = { $file }:{ $line }:{ $column }: no relay { $name } in [relays]: did you mean { $near }?
book-dotted-name = { $file }:{ $line }:{ $column }: a name with a dot needs quotes: "{ $name }" = …
book-no-relay = { $file }:{ $line }:{ $column }: { $name } needs relay = "HOST:PORT"
book-me-empty = { $file }:{ $line }:{ $column }: my name is empty: write one, or put # before the line
book-me-reserved = { $file }:{ $line }:{ $column }: { $name } is reserved for the relay: choose another name
book-name-empty = { $file }:{ $line }:{ $column }: a name cannot be empty
book-name-too-long = { $file }:{ $line }:{ $column }: { $name }… is too long: at most 32 characters and 96 bytes
book-name-space = { $file }:{ $line }:{ $column }: the name "{ $name }" has a space in it: take it out
book-name-no-letter = { $file }:{ $line }:{ $column }: the name { $name } needs a letter or a digit
book-name-bad-character = { $file }:{ $line }:{ $column }: no name can hold { $character }: letters, digits, . _ and - of any script
book-missing = no address book at { $file }
book-unreadable = cannot read { $file }: { $why }
book-unwritable = cannot write { $file }: { $why }
book-of-other = { $file } belongs to another user; edit it as that user
book-too-big = { $file } is larger than { $most } bytes: is it an address book?
book-not-utf8 = { $file }:{ $line }: not UTF-8: save the file as UTF-8
book-edit-by-hand = { $file } is laid out in a way no program can edit safely: please edit it by hand
book-watch-failed = cannot watch { $file }: { $why }; edits count from the next start
book-reloaded = { $file } was read again
book-reload-failed = the address book as it was stays in use: { $why }
contact-exists = { $name } is in { $file } already
contact-unknown = no contact { $name }; write NAME@HOST:PORT, or add one: queqiao contacts add { $name } HOST:PORT
contact-unknown-near = no contact { $name }: did you mean { $near }?
contact-book-empty = no contact { $name }: the address book is empty; add one: queqiao contacts add { $name } HOST:PORT
contact-needs-name = { $address } is a relay: write whom you mean, NAME@{ $address }
contact-full-width-at = full-width ＠ in { $name }: write @ instead
name-space = a name cannot have a space in it
name-no-letter = a name needs a letter or a digit

## Files and folders

relay-busy = another relay (process { $pid }) is using { $folder }; stop it, or give this one its own folder with --data DIR
member-busy = { $name } is already running on this machine (process { $pid }), and that process does not answer
member-carriers = process { $pid } speaks for you already: it chooses between UDP and TCP
member-no-door = other commands of yours cannot work through this one: { $cause }
backup-made = { $file } holds every message that was accepted before { $until }, and the relay's secret key: keep it as safe as the relay's own folder
backup-exists = { $file } exists already; choose another name
backup-no-folder = there is no folder for { $file }; create it, or choose another name
backup-denied = the running relay may not write { $file } ({ $cause }); name a file where its user may write, for example in its data directory
backup-missing = there is no backup in { $file }
backup-not-one = { $file } is no backup of a relay; make one with queqiao relay backup FILE
backup-elsewhere = the relay has written { $file }, but here is not what it wrote: it sees other folders than this command; name a file in the relay's own folder
backup-busy = another backup is being made, or the relay is very busy; try again later
backup-stopped = the relay stopped before { $file } was complete; nothing is left of it
backup-not-here = only a relay with a folder can be backed up, not { $file }
backup-silent = the relay (process { $pid }) does not answer; look whether it is stopped, and try again
restore-not-empty = { $folder } is not empty; restore into an empty or new folder
restore-done = the relay is restored in { $folder }; messages accepted after { $since } are missing. Start it with: queqiao relay --data { $folder }; the relay that it was copied from must not run again
relay-restored = this relay was restored from a backup: messages accepted after { $since } are missing. Their senders' clients learn of it at their next connection, and send again those that they still have; names registered, invitations made, and members removed since then are as before
member-unreachable = { $name } is already running on this machine, and other commands cannot reach it: { $cause }
socket-failed = { $file }: { $cause }
socket-not-folder = { $folder } must be a directory for sockets; remove it, or set XDG_RUNTIME_DIR to a directory of yours
socket-folder-foreign = the directory for sockets { $folder } belongs to another user (user id { $uid }); remove it, or set XDG_RUNTIME_DIR to a directory of yours
socket-folder-open = other users can enter the directory for sockets { $folder } (mode { $mode }); run: chmod 700 { $folder }
store-key-open = { $file } holds a secret key, but others may read it (mode { $mode }); run: chmod 600 { $file }
store-key-damaged = the key in { $file } is damaged; restore the file from a backup
store-key-missing = { $file } is gone, but other files of its owner are still there; restore it from a backup, or begin anew with an empty folder
store-counter-damaged = { $file } is damaged; remove it, it will be made again
store-database-missing = { $file } is gone or empty, but the relay's key is still there; restore it from a backup, or begin anew with an empty folder
store-not-database = { $file } is not a database of queqiao; move it away or choose another folder with --data DIR
store-database-damaged = { $file } is damaged ({ $cause }); restore it from a backup
letter-damaged = { $file }: letter { $number } to { $to } at { $relay } is damaged; it is not sent
store-letter-damaged = { $file }: a letter of { $from } to { $to } is damaged (row { $row }); it stays in the file and is delivered to nobody, and { $from } is told
store-letter-damaged-nameless = { $file }: a letter to { $to } is damaged (row { $row }); it stays in the file and is delivered to nobody; who wrote it is not known
store-commits-missing = { $file } has lost letters: it has { $found } of { $known } commits, so it or its log (-wal) is damaged, gone, an old copy, or was copied while the relay ran (queqiao relay backup does that); restore all its files from a backup, or remove { $beside } to go on without them
store-commits-damaged = { $file } is damaged; if the database beside it is whole, remove it
store-newer = { $file } was made by a newer queqiao (layout { $version }); nothing was changed; use that version
store-older = { $file } was made by an older queqiao (layout { $version }), which this one cannot read; nothing was changed
store-disk-full = no room on the disk for { $file }; free some space
store-read-only = cannot write { $file }: it is on a read-only file system
store-no-files = cannot open { $file }: this process may open no more files; raise the limit (ulimit -n)
store-link = { $file } is a symbolic link, and private files are not opened through one; put the file itself there
store-folder-open = others may write in { $folder } (mode { $mode }); run: chmod go-w { $folder }
store-not-permitted = no permission for { $file }: { $cause }
store-not-folder = { $file } is a file where a folder is needed; choose another folder with --data DIR
store-io = cannot read or write { $file }: { $cause }
store-no-home = no home folder is known; give a folder with --data DIR
store-no-thread = the system has no thread left: { $cause }
pins-damaged = { $file }, line { $line }: { $cause }; correct or remove that line
reach-damaged = { $file } is damaged ({ $cause }); delete it and start the relay, which writes it again

## The network

port-in-use = { $addr } is already in use ({ $carrier }); choose another port or stop what uses it
cannot-bind = cannot listen at { $addr } ({ $carrier }): { $cause }
bind-no-address = the host { $host } has no address to listen at: { $cause }
bind-not-here = this machine does not have the address { $addr } of { $host }; listen at an address that it has, or at every address with :PORT
bind-skipped = { $addr } is not served: this machine does not have it
bind-too-many = { $host } has { $count } addresses on this machine; listen at one of them, or at every address with :PORT
cannot-start = the system refuses to start the network loop: { $cause }
letter-unreadable = a message from { $who } ({ $id }) is of a kind this version cannot show, and went back to { $who }; update queqiao

## More of the commands

send-too-long = not sent: the text has { $len } bytes, a letter at most { $max }
send-input-too-long = not sent: standard input has more than { $max } bytes, which is the most for a letter
output-failed = standard output cannot be written: { $cause }
output-disk = the disk for standard output is full: { $cause }
argument-not-utf8 = this argument is not UTF-8: { $argument }; convert it (iconv -t UTF-8), or write it in a UTF-8 terminal
variable-not-utf8 = { $variable } is not UTF-8
variable-not-flag = { $variable }={ $value }: write 1 or 0 (or true, false, yes, no)
option-from-variable = { $option } was set by { $variable }
book-no-relays = no contacts in { $file }; add one: queqiao contacts add NAME HOST:PORT, or join a relay: queqiao join
book-good = { $file }: { $count ->
    [one] 1 contact, no mistakes
   *[other] { $count } contacts, no mistakes
}
contact-added = { $name } added to { $file }
contact-unreachable = no relay can be reached at { $relay }, the address of { $name }: it is not the address of one machine
contact-word = { $name } ends a chat, so this contact cannot be chosen there: give it another name, with member = "{ $name }"
contact-alike = { $name } looks like your contact { $other }
contact-removed = { $name } removed from { $file }
fingerprint-bad = not the fingerprint of a key: it has four groups of five letters or digits (a-z, 2-7)
trust-book = { $file } now has the key { $key } for the relay at { $relay }
trust-differs = { $relay } has another key now, { $key }: nothing was changed
trust-changed = if the operator of { $relay } confirms the new key: queqiao trust { $relay } { $offered }

## Helps of the command line

help = A messenger for networks that people run themselves: one relay, terminal clients, UDP with TCP beside it
help--lang = Speak English (en) or Chinese (zh); otherwise as the locale says
help--contacts = The address book [otherwise ./contacts.toml, then the one in the configuration folder]
help--name = Who I am [otherwise the name under [me] in the address book]
help--data = The folder for keys, pins and letters
help--tcp = Use TCP only
help--udp = Use UDP only
help-relay = Run a relay
help-relay-backup = Copy the relay into one file, while it runs or not
help-relay-backup--file = A new file; a running relay must be able to write there
help-relay-restore = Make a relay of a backup, in an empty folder (--data DIR)
help-relay-restore--file = The backup
help-relay--bind = Where to listen on UDP: IP:PORT, HOST:PORT, PORT (of 127.0.0.1), or :PORT (every address); port 0 picks a free one
help-relay--tcp = Listen on TCP too, at the same port unless another address is given
help-relay--address = HOST:PORT where members reach the relay, for the lines it prints and for invitations [default: the machine's addresses]
help-relay--data = The folder for the relay's key and members
help-relay--limits = Off lifts the limits on senders, for benchmarks on loopback only
help-relay--keep = How long a letter waits for its recipient while the relay runs
help-relay--mailbox-letters = Letters that wait for one member at most
help-relay--mailbox-bytes = Bytes of letters that wait for one member at most
help-relay--pair-letters = Letters of one sender that wait for one member at most
help-relay--pair-bytes = Bytes of letters of one sender that wait for one member at most
help-relay--guests = Serve guests who speak plain text; their letters go to NAME (echo answers in upper case)
help-relay--guest-encoding = How guests write; auto is UTF-8, else GBK, guest by guest
help-relay--guest-greeting = What a guest on TCP is told first, at most 1,024 bytes
help-relay--guest-limit = Places for guests; those on UDP hold half of them at most
help-relay--guest-anyone = Guests may write to any member, by beginning with "@NAME "
help-relay--all-mailboxes-bytes = Bytes of letters that wait for all members together at most
help-relay--sender-bytes = Bytes of messages of one sender that wait for all members together at most; never more than a sixteenth of --all-mailboxes-bytes
help-relay--memory-bytes = Bytes of messages that are not on disk yet, of all members together at most
help-relay--letters-per-second = Messages a second of one member, in the long run
help-relay--letters-burst = Messages of one member at once, after a pause
help-relay--control-per-second = Control messages a second of one member, in the long run, but for news of messages
help-relay--control-burst = Control messages of one member at once, after a pause
help-relay--names-per-hour = New names an hour from one address (not from this machine); 0 for none
help-relay--all-names-per-hour = New names an hour of everybody together, where others than this machine reach the relay; half of them for networks that have none from today
help-relay--members-max = Names in all; beyond them, for the invited only
help-relay--sessions = Sessions at once, of everybody together
help-relay--stranger-sessions = Sessions at once of those who have not signed in
help-relay--reassembly-bytes = Bytes received out of order and kept, of all sessions together
help-relay--connections = TCP connections at once, of everybody together
help-relay--connections-per-address = TCP connections at once of one address (not of this machine)
help-relay--pair-rate = Bytes a second that a member receives from one sender after a burst; the rest waits
help-relay--pair-burst = Bytes that a member receives from one sender at once
help-chat = Chat: choose a contact and write
help-chat--contact = Whom to write to first
help-chat--line = Line by line, also on a terminal
help-chat--color = Colours: auto, always, never
help-send = Send one letter, and say what became of it
help-send--contact = A contact, NAME@HOST:PORT, or any name where the address book has one relay only
help-send--text = What to say; - reads standard input as one letter
help-send--lines = Read standard input, one letter a line
help-send--timeout = Wait no longer than this without progress; what was not accepted goes out with the next run
help-send--wait = How far a letter has to come
help-send--reply = Then wait so long for an answer and print it
help-listen = Print letters as they come
help-listen--json = One JSON object a line
help-listen--count = End after so many letters
help-listen--time = End after this time
help-history = Print what was said, oldest first, or erase it
help-history--contact = With whom [otherwise everybody]
help-history--json = One JSON object a line
help-history--last = Only the last so many letters
help-history--forget = Erase what was said instead of printing it; what waits in the outbox and what you have not seen stays
help-history--older = Erase only what is older than this, such as 90d
help-history--yes = Erase everything without asking
help-ping = Measure round trip and loss to a relay, over UDP and TCP
help-ping--target = A contact or HOST:PORT [otherwise every relay of the address book]
help-ping--count = Probes over each carrier
help-bench = Load a relay with letters and measure it; it keeps the bench's names as members
help-bench--relay = HOST:PORT of the relay, started with --limits off [default: 127.0.0.1:8081]
help-bench--pairs = Pairs of members, one writing to the other [default: 4]
help-bench--window = Letters each pair keeps in flight [default: 64]
help-bench--size = Bytes of a letter's text, at least 16
help-bench--secs = How long to measure, after a second of warm-up
help-bench--rate = Write so many letters a second in all at even distances, and count latency from the moment each was due
help-bench--answer = Answer each letter with a letter; both count
help-bench--bare = Start a relay and a bare loop that only moves datagrams, each on one processor, and tell the ratio of their CPU time a letter (Linux)
help-bench--as-server = Be a server of the bench's own until standard input ends
help-bench--tcp = Over TCP instead of UDP
help-bench--flood = Random datagrams a second beside the letters, to a relay on loopback only
help-bench--idle = Instead of letters: so many idle members, each at an address of its own, and what one costs the relay; with --bare, and what its keep-alives cost the bare loop
help-bench--relay-pid = The relay's process, to measure its CPU time a letter and its memory (Linux)
help-bench--json = Print one JSON object
help-contacts = Read or edit the address book
help-contacts-list = Print the contacts
help-contacts-add = Add a contact
help-contacts-add--name = What you call them
help-contacts-add--relay = Relay of the contact: HOST:PORT, or its name in the address book
help-contacts-add--relay-key = Fingerprint of the relay's key
help-contacts-add--member = Their name at the relay, if it differs
help-contacts-add--note = Words of your own
help-contacts-add--group = A heading to list them under
help-contacts-add--tcp-addr = Where the relay listens for TCP, if not at the same address
help-contacts-remove = Remove a contact
help-contacts-remove--name = Whom
help-contacts-check = Look for mistakes
help-trust = Show, accept or replace the pinned key of a relay
help-trust--relay = HOST:PORT, a relay of the address book, or a contact there
help-trust--fingerprint = The fingerprint its operator has confirmed
send-lines-no-reply = --reply waits for the answer to one letter; it does not go with --lines

## The demo

demo-among = You are { $name }, on a relay in this very process; write to JACK, 一棵树 or 武大郎. /help lists the commands, Ctrl-D ends.
demo-replies = fine!|say more|as you like|see you at the bridge
demo-relay = a relay is ready at { $relay }, over UDP and TCP
demo-online = { $who } [{ $via }] is online
demo-sent = { $from } [{ $via }] wrote to { $to }: { $text }  (delivered { $id })
demo-came = { $who } [{ $via }] has from { $from }: { $text }  ({ $id })
demo-cut = UDP is cut: the datagrams of { $who } vanish on their way to the relay
demo-mended = UDP is mended: the datagrams of { $who } pass again
demo-moved = { $who } [{ $via }]: { $what }
demo-left = { $who } has gone away
demo-waits = { $from } [{ $via }] wrote to { $to }: { $text }  (waiting in the mailbox { $id })
demo-done = done: { $count ->
    [one] 1 letter
   *[other] { $count } letters
}, each delivered once and in order
demo-failed = the demo failed: { $who } waited in vain
help-demo = See it work: a relay and a few members in this process, and you among them
help-demo--color = Colours: auto, always, never
demo-twice = the demo failed: { $who } has a letter twice

## The outbox

send-not-kept = not written down within { $time }: the disk, or the process that speaks for you, does not answer; it may still go out
unkept-disk = Not sent: your letter to { $who } could not be written to disk
unkept-full = Not sent: your outbox holds { $count } letters or 256 MiB that were not delivered; wait until { $who } and the others have come for some
chat-waiting = { $who } does not have it yet: your letter waits in the mailbox until { $until }
chat-state-queued = “{ $text }” to { $who } is in the outbox
chat-state-accepted = “{ $text }” to { $who } is at the relay
chat-state-waiting = “{ $text }” to { $who } waits in the mailbox until { $until }
chat-state-read = ✓✓ { $who } has read “{ $text }”

## Guests

desk-answer = Answer:{" "}
desk-incoming = A message from [{ $who }]:{" "}
desk-no-input = there is no input, so no message is answered here; the relay keeps serving until it is stopped (SIGTERM)
desk-nobody-waits = Nobody waits for an answer. Your text:
desk-no-guests = no guest has written lately
desk-begins = you are { $name }, and guests write to you at { $relay }; quit ends the relay
chat-guest = guest { $who } at { $address }, last heard { $heard }; neither authenticated nor encrypted
chat-help-close = end the conversation with a guest
chat-close-no-guest = nobody to close: choose a guest first
help-relay--desk = Answer guests in this window, as NAME [DESK]; implies --guests NAME
guest-told-away = { $name } is away. Your message waits.
guest-told-nobody = Nobody of that name is here.
guest-told-no-web = This is no web server: connect with nc or telnet and write plain text.
guest-told-full = Your message could not be taken; try again later.
guest-ended = [{ $who }] has sent everything, and still reads answers for a minute
guest-left = [{ $who }] has left
guest-closed = You ended the conversation with [{ $who }]
chat-incoming-guest = Message from { $who } (a guest) [{ $via }] { $time }:{" "}
refused-guest-gone = Not delivered: the guest { $who } has gone
send-guest-confirms-nothing = the relay has given it to the guest; guests confirm nothing, so it is not known to have arrived
relay-guests-nobody = { $name } is not registered here yet: until { $name } signs in for the first time, guests write to nobody

## Who may use a relay

name-closed = { $relay }: this relay is closed; ask its operator for an invitation, which is good once and until its date
name-kept = { $name } is kept at { $relay } for somebody with an invitation; choose another name with --as
name-invited-other = your invitation to { $relay } is for the name { $other }; use --as { $other }
name-removed = { $relay }: its operator has removed you; ask the operator for an invitation
invite-bad = this is no code of an invitation: it is 26 letters and digits
invite-empty = no invitation given: it is a line that begins with queqiao:
invite-not-one = not an invitation: { $text } does not begin with queqiao:
invite-space = the invitation is broken after “{ $text }”: it is one line without spaces
invite-unknown-field = the invitation has a field { $field }; only these are known: { $known }
invite-twice = the invitation has the field { $field } twice
invite-lacks = the invitation lacks { $field }=…; copy the whole line
invite-bad-key = { $key } in the invitation is not the fingerprint of a key: it has four groups of five letters or digits (a-z, 2-7)
invite-bad-tcp = tcp={ $tcp } in the invitation is not a port: use a number from 1 to 65535
invite-bad-name = { $name } in the invitation is not a percent-encoded name
join-ask = Invitation (the line that begins with queqiao:, not shown):{" "}
join-on-command-line = other users of this machine can read an invitation on the command line; next time run queqiao join and paste it
join-used = { $relay }: this invitation was used already, has expired, or was withdrawn; ask the operator for a new one
join-silent = not signed in at { $relay } within { $time }; nothing was changed: run queqiao join again with the same line
join-not-written = { $name } is registered at { $relay }, but the address book could not be changed; add { $line } under [relays]: { $why }
join-done = { $name } is signed in at { $relay }, whose key { $key } is as invited; the relay is in { $file } as { $relay_name }
join-next = next: queqiao chat --as { $name }, or queqiao send --as { $name } NAME{ $at } "hello"
members-no-address = where members reach the relay in { $folder } is not known, because it has not run yet: start it, or use --address HOST:PORT
members-loopback = { $relay } is reached on this machine only; for members elsewhere, start the relay with --bind 0.0.0.0:8081, or use --address HOST:PORT
members-other-addresses = the relay is also at { $addresses }; to invite to one of them, or to a host name, use --address HOST:PORT
help-members-invite--address = HOST:PORT where members reach the relay [default: as it said when it was last started]
help-join = Join a relay with an invitation: read it from the terminal or standard input, check the key, sign in
help-join--invitation = The invitation; better pasted when asked, because others on this machine can read arguments
members-invited = invitation for { $who } (single use, valid until { $until }); { $who } runs queqiao join and pastes this line:
members-invited-anybody = invitation for any free name (single use, valid until { $until }); the new member runs queqiao join and pastes this line:
members-invited-again = { $name } was invited already: the earlier invitation no longer works
members-removed = { $name } was removed; the name is kept until you invite somebody to it
members-none = there are no members and no invitations
members-no-relay = { $folder } is not the folder of a relay; give that folder with --data DIR
members-unknown = { $name } is no member of the relay in { $folder }; queqiao members list shows who is
members-taken = { $name } is a member already; choose another name, or remove that member first
members-confusable = { $name } looks like the member { $other }; choose another name, or invite this one while the relay runs with --closed
members-alike = { $name } looks like the member { $other }; this invitation is for exactly { $name }
members-reserved = { $name } is reserved for the relay; choose another name
members-full = { $count } invitations wait already; let some run out
members-disk = it could not be written down: the disk of { $folder } has failed or is full
members-silent = the relay (process { $pid }) does not answer; it may still do it: look with queqiao members list
help-relay--loopback-too = Count handshakes over loopback as those of any other network, for benchmarks
help-relay--closed = Take new names only with an invitation (queqiao members invite)
help--invite = The code of an invitation, for a relay that is closed
help-members = Say who may use a relay; for its operator, on the machine where it runs
help-members--data = The relay's folder
help-members-list = Print the members, and the invitations that wait
help-members-list--json = One JSON object a line
help-members-invite = Create an invitation, one line that the new member gives to queqiao join
help-members-invite--name = The name to keep for the newcomer [otherwise any that is free]
help-members-invite--time = How long the invitation is good
help-members-remove = Remove a member: its session ends, and letters that wait for it go back
help-members-remove--name = Whom

## Letters that are not wanted

chat-incoming-stranger = Message from { $who } (not in your contacts) [{ $via }] { $time }:{" "}
chat-looks-like = Beware: { $who } at { $relay } is not your contact { $contact }, though the names look alike
chat-help-block = take no letters from somebody
chat-help-unblock = take their letters again
contact-blocked = { $name } is blocked in { $file }: letters from { $name } are refused
contact-unblocked = { $name } is no longer blocked in { $file }
book-not-switch = { $file }:{ $line }:{ $column }: { $key } must be true or false, without quotes
help-contacts-block = Take no letters from somebody
help-contacts-block--name = A contact, or NAME@HOST:PORT, who then becomes one
help-contacts-unblock = Take their letters again
help-contacts-unblock--name = A contact
help--contacts-only = Refuse messages of everybody who is not in the address book; contacts_only = true in the book does so always
