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
chat-no-such-command = Not sent: there is no command { $command }; /help lists them. To send a text that begins with /, write //
chat-command-usage = Not sent: it is { $usage }
chat-slashguard = Not sent: it looks like a command with something before it. The command is { $command }; to send a text that begins with /, write //
chat-too-long = Not sent: the text has { $len } bytes, a letter at most { $max }. Here it is again:
chat-text-back = Your text:
chat-unreadable = A letter from { $who } came that this version cannot read ({ $id })
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
    [one] 1 letter was not taken by the relay in time; it may not have arrived
   *[other] { $count } letters were not taken by the relay in time; they may not have arrived
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
chat-help-receipts = show each letter that has arrived, or not
chat-help-quit = end

## What was typed or piped in

input-not-utf8 = Not sent: this line is not UTF-8
input-too-long = Not sent: this line is longer than { $max } bytes
input-failed = Standard input cannot be read: { $cause }

## Letters refused

refused-unknown = Not delivered: no member { $who } at the relay
refused-offline = Not delivered: { $who } is not online
refused-full = Not delivered: the mailbox of { $who } is full
refused-too-long = Not delivered: the letter is longer than the relay takes
refused-blocked = Not delivered: { $who } does not take letters from you
refused-behind = Not delivered: the letter before it was refused
refused-may-have-arrived = It may have arrived all the same
refused-nearest = Members with names like it: { $names }

## Relays: reached or not

relay-silent = no relay answers at { $relay }; start one: queqiao relay --tcp
relay-no-tcp = no TCP listener at { $relay }; start the relay with --tcp
relay-no-host = the host of { $relay } has no address; check its spelling in the address book
relay-refused = the relay at { $relay } answers, but cannot prove its key or does not take ours
relay-key-changed = the relay at { $relay } shows another key than the pinned one ({ $pinned }): nothing is sent there. If its operator confirms the new key: queqiao trust { $relay } { $offered }
relay-pinned = first contact with the relay at { $relay }: its key { $key } is pinned; ask its operator whether it is the right one
relay-lost = connection to { $relay } lost; connecting again
relay-online = connected to { $relay } over { $via }
relay-online-again = connected to { $relay } again, over { $via }
relay-moved-tcp = { $relay }: UDP does not get through, the conversation goes on over TCP
relay-moved-udp = { $relay }: the conversation goes on over UDP
relay-replaced = another machine signed in at { $relay } with your key; this one has stopped
relay-not-in-time = { $relay } did not answer within { $time }

## Names

name-taken = { $name } is taken at { $relay }: another key owns it; choose another name with --as
name-confusable = { $name } looks like { $other }, which is taken at { $relay }; choose another name with --as
name-reserved = { $name } is reserved for the relay; choose another name with --as
name-bad = { $name } is no name: 1 to 32 letters, digits, and . _ - of any script
name-other = your key has the name { $other } at { $relay } already; use --as { $other }
name-other-unknown = your key has another name at { $relay } already
name-too-many = too many names were registered at { $relay } from here lately; try again in an hour
name-disk = { $relay } could not write the name { $name } down: its disk failed
name-empty = a name cannot be empty
name-too-long = a name has at most 32 characters and 96 bytes
name-space = a name cannot hold a space: use . _ or -
name-no-letter = a name needs at least one letter or digit
name-bad-character = a name cannot hold { $character }: letters, digits, and . _ - of any script
name-not-given = who are you? Give a name with --as NAME, or under [me] in the address book
name-ask = Your name:{" "}

## Addresses

address-no-port = { $address } needs a port: HOST:PORT, for example 127.0.0.1:8081
address-bad-port = the port of { $address } must be a number from 1 to 65535
address-bad-host = the host of { $address } must be an IP address or a host name
address-no-brackets = an IPv6 address stands in brackets: [::1]:8081 and not { $address }
address-full-width-colon = write the colon of { $address } as : and not as ：

## Files, folders, sockets

port-in-use = { $addr } ({ $carrier }) is in use already; choose another with --bind, or 0 as the port for a free one
cannot-bind = { $addr } ({ $carrier }) cannot be used: { $cause }
cannot-start = the system refuses what is needed to start: { $cause }
store-no-home = no home folder to keep data in: set HOME, or give --data DIR
store-not-folder = { $file } is not a folder; choose another with --data
store-not-permitted = { $file } cannot be read and written by this user: { $cause }
store-io = { $file }: { $cause }
store-disk-full = no room left to write { $file }
store-not-database = { $file } is not a database of queqiao; move it away or choose another folder with --data
store-newer = { $file } was written by a newer queqiao (version { $version }) and is left as it is
store-database-damaged = { $file } is damaged ({ $cause }); restore it from a copy
store-database-missing = { $file } is missing though the relay's key is there; restore it from a copy, or move the key away to start anew
store-key-open = { $file } holds a private key and others can read it (mode { $mode }): chmod 600 { $file }
store-key-damaged = { $file } does not hold a private key; restore it from a copy
store-key-missing = { $file } is missing: without the private key nobody is recognised; restore it from a copy
store-counter-damaged = { $file } does not hold a number; restore it from a copy
store-no-thread = the system has no room for another thread: { $cause }
pins-damaged = { $file }:{ $line }: { $cause }; correct the line or remove it
member-busy = another queqiao of { $name } is running on this machine (process { $pid })
relay-busy = another relay is running on { $folder } (process { $pid })

## The relay

relay-contacts-line = for the address book of each member, under [contacts]:
relay-limits-off-public = --limits off is for benchmarks and needs a loopback address, not { $addr }
relay-stopping = the relay ends

## Commands

send-not-accepted = not accepted within { $time }
send-not-delivered = accepted, but not delivered within { $time }
send-no-reply = no reply within { $time }
send-no-text = there is no text to send
listen-time-ran-out = time ran out after { $count ->
    [one] 1 letter
   *[other] { $count } letters
}
ping-no-answer = no answer from { $relay } over { $via }
ping-answer = answer from { $relay } over { $via } in { $time }
interrupted = interrupted

## The address book

contact-exists = { $name } is in { $file } already; remove it first: queqiao contacts remove { $name }
contact-unknown = no contact { $name } in the address book; anybody else is written NAME@HOST:PORT
contact-unknown-near = no contact { $name } in the address book; did you mean { $near }?
contact-book-empty = the address book has no contacts, so it is not known where { $name } is; add one: queqiao contacts add { $name } HOST:PORT
contact-needs-name = { $address } is a relay; who is meant there? Write NAME@{ $address }
contact-full-width-at = write the @ of { $name } as @ and not as ＠
book-missing = no address book at { $file }; start one: queqiao contacts add NAME HOST:PORT
book-unreadable = { $file } cannot be read: { $why }
book-unwritable = { $file } cannot be written: { $why }
book-too-big = { $file } has more than { $most } bytes: that is no address book
book-not-utf8 = { $file }:{ $line }: not UTF-8; save the file as UTF-8
book-watch-failed = edits to { $file } will not be noticed: { $why }
book-edit-by-hand = { $file } is written in a way that cannot be changed safely; edit it by hand
book-reloaded = { $file } was read again
book-reload-failed = the address book as it was stays in use: { $why }
book-syntax = { $file }:{ $line }:{ $column }: this is not TOML ({ $why })
book-full-width-quotes = { $file }:{ $line }:{ $column }: write straight quotes " and not “ ”
book-full-width-colon = { $file }:{ $line }:{ $column }: write the colon as : and not as ：
book-full-width-equals = { $file }:{ $line }:{ $column }: write the equals sign as = and not as ＝
book-full-width-space = { $file }:{ $line }:{ $column }: write an ordinary space here
book-full-width-mark = { $file }:{ $line }:{ $column }: write { $wanted } and not { $found }
book-bare-key = { $file }:{ $line }:{ $column }: write the name in quotes: "{ $name }"
book-bare-value = { $file }:{ $line }:{ $column }: write the value in quotes: "{ $value }"
book-unclosed-quote = { $file }:{ $line }:{ $column }: this quote is not closed
book-colon = { $file }:{ $line }:{ $column }: a name and its relay are joined by = and not by :
book-no-value = { $file }:{ $line }:{ $column }: something must follow { $name }: = "HOST:PORT"
book-duplicate-name = { $file }:{ $line }:{ $column }: { $name } stands in line { $first } already
book-duplicate-key = { $file }:{ $line }:{ $column }: { $key } stands twice
book-duplicate-public-key = { $file }:{ $line }:{ $column }: { $name } has the same key as { $other }
book-tcp-conflict = { $file }:{ $line }:{ $column }: line { $first } says that { $relay } listens for TCP at { $tcp }
book-me-empty = { $file }:{ $line }:{ $column }: your name is empty; write it, or put # before the line
book-me-reserved = { $file }:{ $line }:{ $column }: { $name } is reserved for the relay; choose another name
book-not-entry = { $file }:{ $line }:{ $column }: { $name } needs a relay: "HOST:PORT" or { "{" } relay = "HOST:PORT" { "}" }
book-not-table = { $file }:{ $line }:{ $column }: [{ $key }] must be a section of its own
book-not-text = { $file }:{ $line }:{ $column }: { $key } must be a text in quotes
book-dotted-name = { $file }:{ $line }:{ $column }: write a name with dots in quotes: "{ $name }"
book-no-relay = { $file }:{ $line }:{ $column }: { $name } needs relay = "HOST:PORT"
book-outside = { $file }:{ $line }:{ $column }: { $name } stands above [contacts]; move it below
book-unknown-key = { $file }:{ $line }:{ $column }: unknown key { $key }; known are { $known }
book-unknown-key-near = { $file }:{ $line }:{ $column }: unknown key { $key }; is { $near } meant?
book-bad-public-key = { $file }:{ $line }:{ $column }: a key has 43 characters: letters, digits, - and _
book-name-empty = { $file }:{ $line }:{ $column }: a name cannot be empty
book-name-too-long = { $file }:{ $line }:{ $column }: a name has at most 32 characters and 96 bytes
book-name-space = { $file }:{ $line }:{ $column }: the name { $name } holds a space: use . _ or -
book-name-no-letter = { $file }:{ $line }:{ $column }: the name { $name } needs at least one letter or digit
book-name-bad-character = { $file }:{ $line }:{ $column }: the name { $name } cannot hold { $character }: letters, digits, and . _ - of any script
book-address-no-port = { $file }:{ $line }:{ $column }: { $address } needs a port: HOST:PORT, for example 127.0.0.1:8081
book-address-bad-port = { $file }:{ $line }:{ $column }: the port of { $address } must be a number from 1 to 65535
book-address-bad-host = { $file }:{ $line }:{ $column }: the host of { $address } must be an IP address or a host name
book-address-no-brackets = { $file }:{ $line }:{ $column }: an IPv6 address stands in brackets: [::1]:8081 and not { $address }
