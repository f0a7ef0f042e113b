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
chat-did-you-mean = Did you mean { $names }?
chat-contacts = Contacts: { $names }
chat-no-contacts = The address book has no contacts; add one: queqiao contacts add NAME HOST:PORT
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
name-bad-character = a name cannot hold { $char }: letters, digits, and . _ - of any script
name-not-given = who are you? Give a name with --as NAME, or under [me] in the address book
name-ask = Your name:{" "}

## Addresses

address-no-port = an address needs a port: HOST:PORT, for example 127.0.0.1:8081
address-bad-port = the port must be a number from 1 to 65535
address-bad-host = the host must be an IP address or a host name
address-no-brackets = an IPv6 address stands in brackets: [::1]:8081
address-full-width-colon = write the colon as : and not as ：

## Files, folders, sockets

port-in-use = { $addr } is in use already; choose another with --bind, or 0 as the port for a free one
cannot-bind = { $addr } cannot be used: { $cause }
cannot-listen-tcp = { $addr } cannot be used for TCP: { $cause }
data-no-folder = no data folder: set --data DIR or HOME
data-not-writable = { $path } cannot be written: { $cause }
data-not-readable = { $path } cannot be read: { $cause }
data-in-use = { $path } is in use by another process ({ $holder })
data-version = { $path } was written by another version of queqiao and is left as it is
data-damaged = { $path } is damaged: { $cause }
key-file-readable = { $path } can be read by others; it holds a private key: chmod 600 { $path }
key-file-damaged = { $path } does not hold a private key; restore it from a copy, or move it away to start with a new one
disk-failed = { $path } cannot be written any more: { $cause }
member-in-use = another queqiao of { $name } is running on this machine (process { $pid })
member-in-use-unknown = another queqiao of { $name } is running on this machine

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
