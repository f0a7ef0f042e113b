#compdef queqiao

autoload -U is-at-least

_queqiao_contacts() {
    local -a names
    names=(${(f)"$(queqiao contacts list --names 2>/dev/null)"})
    compadd -a names
}

_queqiao() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
":: :_queqiao_commands" \
"*::: :->queqiao" \
&& ret=0
    case $state in
    (queqiao)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:queqiao-command-$line[1]:"
        case $line[1] in
            (demo)
_arguments "${_arguments_options[@]}" : \
'--as=[Your name \[default\: name under \[me\] in the address book\] \[env\: QUEQIAO_AS\]]:NAME:' \
'--color=[Colours\: auto, always, never \[default\: auto\] \[env\: QUEQIAO_COLOR\]]:auto|always|never:(auto always never)' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
&& ret=0
;;
(relay)
_arguments "${_arguments_options[@]}" : \
'--bind=[Where to listen on UDP\: IP\:PORT, HOST\:PORT, PORT (of 127.0.0.1), or \:PORT (every address); port 0 picks a free one \[default\: 127.0.0.1\:8081\] \[env\: QUEQIAO_BIND\]]:HOST:PORT:' \
'--tcp=[Also listen on TCP, on the same address unless another is given]::HOST:PORT:' \
'--address=[HOST\:PORT where members reach the relay, for the lines it prints and for invitations \[default\: the machine'\''s addresses\] \[env\: QUEQIAO_ADDRESS\]]:HOST:PORT:' \
'--data=[Directory for the relay'\''s key, members and mailboxes \[env\: QUEQIAO_DATA\]]:DIR:_files' \
'--limits=[off lifts the limits on senders; for benchmarks on loopback only \[default\: on\] \[env\: QUEQIAO_LIMITS\]]:on|off:(on off)' \
'--keep=[How long a message is kept for its recipient (counted while the relay runs) \[default\: 30d\] \[env\: QUEQIAO_KEEP\]]:DURATION:' \
'--mailbox-letters=[Maximum number of messages kept for one member \[default\: 10000\] \[env\: QUEQIAO_MAILBOX_LETTERS\]]:N:' \
'--mailbox-bytes=[Maximum size of all messages kept for one member \[default\: 32M\] \[env\: QUEQIAO_MAILBOX_BYTES\]]:SIZE:' \
'--pair-letters=[Maximum number of messages from one sender kept for one member \[default\: 5000\] \[env\: QUEQIAO_PAIR_LETTERS\]]:N:' \
'--pair-bytes=[Maximum size of all messages from one sender kept for one member \[default\: 8M\] \[env\: QUEQIAO_PAIR_BYTES\]]:SIZE:' \
'--sender-bytes=[Maximum size of all messages from one sender kept for all members together; never more than a sixteenth of --all-mailboxes-bytes \[default\: 64M\] \[env\: QUEQIAO_SENDER_BYTES\]]:SIZE:' \
'--pair-rate=[Bytes per second that a member receives from one sender after a burst; the rest is sent later \[default\: 256K\] \[env\: QUEQIAO_PAIR_RATE\]]:SIZE:' \
'--pair-burst=[Bytes that a member receives from one sender at once \[default\: 4M\] \[env\: QUEQIAO_PAIR_BURST\]]:SIZE:' \
'--all-mailboxes-bytes=[Maximum size of all mailboxes together \[default\: 4G\] \[env\: QUEQIAO_ALL_MAILBOXES_BYTES\]]:SIZE:' \
'--memory-bytes=[Maximum size of all messages not yet written to disk \[default\: 256M\] \[env\: QUEQIAO_MEMORY_BYTES\]]:SIZE:' \
'--letters-per-second=[Messages per second from one member, long-term average \[default\: 100\] \[env\: QUEQIAO_LETTERS_PER_SECOND\]]:N:' \
'--letters-burst=[Messages that one member may send at once after a pause \[default\: 1000\] \[env\: QUEQIAO_LETTERS_BURST\]]:N:' \
'--control-per-second=[Control messages per second from one member, long-term average, without delivery and read receipts \[default\: 1000\] \[env\: QUEQIAO_CONTROL_PER_SECOND\]]:N:' \
'--control-burst=[Control messages that one member may send at once after a pause \[default\: 10000\] \[env\: QUEQIAO_CONTROL_BURST\]]:N:' \
'--names-per-hour=[New names per hour from one address (except from this machine); 0 allows none \[default\: 5\] \[env\: QUEQIAO_NAMES_PER_HOUR\]]:N:' \
'--all-names-per-hour=[New names per hour in total, if other machines can reach the relay; half are for networks that have registered none that day \[default\: 60\] \[env\: QUEQIAO_ALL_NAMES_PER_HOUR\]]:N:' \
'--members-max=[Maximum number of names; beyond it, only invited members can register \[default\: 10000\] \[env\: QUEQIAO_MEMBERS_MAX\]]:N:' \
'--sessions=[Maximum number of sessions at a time \[default\: 131072\] \[env\: QUEQIAO_SESSIONS\]]:N:' \
'--stranger-sessions=[Maximum number of sessions at a time that have not signed in \[default\: 2048\] \[env\: QUEQIAO_STRANGER_SESSIONS\]]:N:' \
'--reassembly-bytes=[Maximum size of data received out of order, all sessions together \[default\: 64M\] \[env\: QUEQIAO_REASSEMBLY_BYTES\]]:SIZE:' \
'--connections=[Maximum number of TCP connections at a time \[default\: 1024\] \[env\: QUEQIAO_CONNECTIONS\]]:N:' \
'--connections-per-address=[Maximum number of TCP connections at a time from one address (except from this machine) \[default\: 256\] \[env\: QUEQIAO_CONNECTIONS_PER_ADDRESS\]]:N:' \
'(--desk)--guests=[Serve plain-text guests; their messages go to NAME (echo replies in upper case) \[env\: QUEQIAO_GUESTS\]]:NAME:' \
'--desk=[Answer guests in this window as NAME \[default\: DESK\]; implies --guests NAME]::NAME:' \
'--guest-encoding=[Encoding of guests; auto detects UTF-8 or GBK for each guest \[default\: auto\]]:auto|utf-8|gbk:(auto utf-8 gbk)' \
'--guest-greeting=[Greeting for guests on TCP, at most 1,024 bytes]:TEXT:' \
'--guest-limit=[Maximum number of guests at a time; guests on UDP take half of it at most \[default\: 256\] \[env\: QUEQIAO_GUEST_LIMIT\]]:N:' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'--loopback-too[Limit handshakes over loopback like those from any other network; for benchmarks \[env\: QUEQIAO_LOOPBACK_TOO\]]' \
'--closed[Register new names by invitation only (queqiao members invite) \[env\: QUEQIAO_CLOSED\]]' \
'--guest-anyone[Let guests write to any member by starting with "@NAME "]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
":: :_queqiao__subcmd__relay_commands" \
"*::: :->relay" \
&& ret=0

    case $state in
    (relay)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:queqiao-relay-command-$line[1]:"
        case $line[1] in
            (backup)
_arguments "${_arguments_options[@]}" : \
'--data=[Directory for the relay'\''s key, members and mailboxes \[env\: QUEQIAO_DATA\]]:DIR:_files' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':file -- A new file; a running relay must be able to write there:_files' \
&& ret=0
;;
(restore)
_arguments "${_arguments_options[@]}" : \
'--data=[Directory for the relay'\''s key, members and mailboxes \[env\: QUEQIAO_DATA\]]:DIR:_files' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':file -- The backup:_files' \
&& ret=0
;;
        esac
    ;;
esac
;;
(chat)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--as=[Your name \[default\: name under \[me\] in the address book\] \[env\: QUEQIAO_AS\]]:NAME:' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--invite=[Invitation code, for an invitation-only relay \[env\: QUEQIAO_INVITE\]]:CODE:' \
'--color=[Colours\: auto, always, never \[default\: auto\] \[env\: QUEQIAO_COLOR\]]:auto|always|never:(auto always never)' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[Use TCP only \[env\: QUEQIAO_TCP\]]' \
'(--tcp)--udp[Use UDP only \[env\: QUEQIAO_UDP\]]' \
'--line[Line mode, even in a terminal]' \
'--contacts-only[Accept messages from contacts only; to do so always, set contacts_only = true in the address book \[env\: QUEQIAO_CONTACTS_ONLY\]]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
'::contact -- Contact to start with:_queqiao_contacts' \
&& ret=0
;;
(send)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--as=[Your name \[default\: name under \[me\] in the address book\] \[env\: QUEQIAO_AS\]]:NAME:' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--invite=[Invitation code, for an invitation-only relay \[env\: QUEQIAO_INVITE\]]:CODE:' \
'--timeout=[Stop waiting after this long without progress; messages not accepted by then are sent next time \[default\: 10s\] \[env\: QUEQIAO_TIMEOUT\]]:DURATION:' \
'--wait=[Delivery state to wait for \[default\: accepted\]]:accepted|delivered:(accepted delivered)' \
'--reply=[Then wait this long for a reply and print it]:DURATION:' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[Use TCP only \[env\: QUEQIAO_TCP\]]' \
'(--tcp)--udp[Use UDP only \[env\: QUEQIAO_UDP\]]' \
'--lines[Send each line of standard input as a message]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':contact -- A contact, NAME@HOST\:PORT, or any name if the address book has only one relay:_queqiao_contacts' \
'*::text -- Message text; - reads one message from standard input:' \
&& ret=0
;;
(listen)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--as=[Your name \[default\: name under \[me\] in the address book\] \[env\: QUEQIAO_AS\]]:NAME:' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--invite=[Invitation code, for an invitation-only relay \[env\: QUEQIAO_INVITE\]]:CODE:' \
'--count=[Exit after this many messages]:N:' \
'--for=[Exit after this long]:DURATION:' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[Use TCP only \[env\: QUEQIAO_TCP\]]' \
'(--tcp)--udp[Use UDP only \[env\: QUEQIAO_UDP\]]' \
'--json[Print one JSON object per line]' \
'--contacts-only[Accept messages from contacts only; to do so always, set contacts_only = true in the address book \[env\: QUEQIAO_CONTACTS_ONLY\]]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
&& ret=0
;;
(history)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--as=[Your name \[default\: name under \[me\] in the address book\] \[env\: QUEQIAO_AS\]]:NAME:' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--last=[Only the last N messages]:N:' \
'--since=[Only messages from the last 2d, 5h, …]:DURATION:' \
'--older=[Erase only messages older than this, for example 90d]:DURATION:' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'--json[Print one JSON object per line]' \
'(--last)--all[All messages \[default\: in a terminal the last 50, else all\]]' \
'--forget[Erase the history instead of showing it; messages in the outbox and messages that you have not seen are kept]' \
'--yes[Erase everything without asking]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
'::contact -- Only messages with this contact \[default\: all\]:_queqiao_contacts' \
&& ret=0
;;
(ping)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--count=[Number of probes over UDP and over TCP \[default\: 4\]]:N:' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[Use TCP only \[env\: QUEQIAO_TCP\]]' \
'(--tcp)--udp[Use UDP only \[env\: QUEQIAO_UDP\]]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
'::target -- Contact or HOST\:PORT \[default\: every relay in the address book\]:_queqiao_contacts' \
&& ret=0
;;
(bench)
_arguments "${_arguments_options[@]}" : \
'--relay=[HOST\:PORT of the relay, started with --limits off \[default\: 127.0.0.1\:8081\]]:HOST:PORT:' \
'--pairs=[Pairs of members, one writing to the other \[default\: 4\]]:N:' \
'--window=[Messages each pair keeps in flight \[default\: 64\]]:N:' \
'--size=[Size of a message'\''s text in bytes, at least 16 \[default\: 100\]]:BYTES:' \
'--secs=[Duration, after one second of warm-up \[default\: 5\]]:SECONDS:' \
'--rate=[Send this many messages per second in total, evenly spaced; latency counts from the scheduled time]:N:' \
'--flood=[Also send this many random datagrams per second (relay on loopback only) \[default\: 0\]]:N:' \
'--idle=[Instead of messages\: measure what this many idle members cost the relay, each at its own address; with --bare, also what their keep-alives cost the forwarding loop]:N:' \
'--relay-pid=[Process ID of the relay, to measure its CPU time per message and its memory (Linux)]:PID:' \
'--as-server=[Internal\: run as a benchmark server until standard input ends \[possible values\: relay, bare\]]:AS_SERVER:(relay bare)' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'--answer[Answer each message with a message; both count]' \
'--bare[Start a relay and a loop that only forwards datagrams, each on one CPU, and compare their CPU time per message (Linux)]' \
'--tcp[Use TCP instead of UDP]' \
'--json[Print one JSON object]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
&& ret=0
;;
(contacts)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
":: :_queqiao__subcmd__contacts_commands" \
"*::: :->contacts" \
&& ret=0

    case $state in
    (contacts)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:queqiao-contacts-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'--json[Print one JSON object per line]' \
'(--json)--names[Print the names alone, one per line]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
&& ret=0
;;
(add)
_arguments "${_arguments_options[@]}" : \
'--member=[Name at the relay, if different]:NAME:' \
'--relay-key=[Fingerprint of the relay'\''s key]:FINGERPRINT:' \
'--note=[A note]:TEXT:' \
'--group=[Group to list the contact under]:TEXT:' \
'--tcp-addr=[TCP address of the relay, if different]:HOST:PORT:' \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':name -- Your label for the contact:' \
':relay -- Relay of the contact\: HOST\:PORT, or its name in the address book:' \
&& ret=0
;;
(remove)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':name -- Contact to remove:_queqiao_contacts' \
&& ret=0
;;
(block)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':name -- A contact, or NAME@HOST\:PORT, which is then added to the contacts:_queqiao_contacts' \
&& ret=0
;;
(unblock)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':name -- A contact:_queqiao_contacts' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
&& ret=0
;;
        esac
    ;;
esac
;;
(members)
_arguments "${_arguments_options[@]}" : \
'--data=[The relay'\''s data directory \[env\: QUEQIAO_DATA\]]:DIR:_files' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
":: :_queqiao__subcmd__members_commands" \
"*::: :->members" \
&& ret=0

    case $state in
    (members)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:queqiao-members-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
'--data=[The relay'\''s data directory \[env\: QUEQIAO_DATA\]]:DIR:_files' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'--json[Print one JSON object per line]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
&& ret=0
;;
(invite)
_arguments "${_arguments_options[@]}" : \
'--for=[How long the invitation is valid \[default\: 7d\]]:DURATION:' \
'--address=[HOST\:PORT where members reach the relay \[default\: its address when it was last started\]]:HOST:PORT:' \
'--data=[The relay'\''s data directory \[env\: QUEQIAO_DATA\]]:DIR:_files' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
'::name -- Name to reserve for the new member \[default\: any free name\]:' \
&& ret=0
;;
(remove)
_arguments "${_arguments_options[@]}" : \
'--data=[The relay'\''s data directory \[env\: QUEQIAO_DATA\]]:DIR:_files' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':name -- Member to remove:' \
&& ret=0
;;
        esac
    ;;
esac
;;
(trust)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
'::relay -- HOST\:PORT, a relay of the address book, or a contact there:_queqiao_contacts' \
'::fingerprint -- Fingerprint that the operator has confirmed:' \
&& ret=0
;;
(join)
_arguments "${_arguments_options[@]}" : \
'--contacts=[Address book file \[default\: ./contacts.toml, then contacts.toml in the configuration directory\] \[env\: QUEQIAO_CONTACTS\]]:FILE:_files' \
'--as=[Your name \[default\: name under \[me\] in the address book\] \[env\: QUEQIAO_AS\]]:NAME:' \
'--data=[Directory for keys, pinned relay keys and messages \[env\: QUEQIAO_DATA\]]:DIR:_files -/' \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[Use TCP only \[env\: QUEQIAO_TCP\]]' \
'(--tcp)--udp[Use UDP only \[env\: QUEQIAO_UDP\]]' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
'::invitation -- Invitation; better pasted when asked, because other users of this machine can read arguments:' \
&& ret=0
;;
(generate)
_arguments "${_arguments_options[@]}" : \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
":: :_queqiao__subcmd__generate_commands" \
"*::: :->generate" \
&& ret=0

    case $state in
    (generate)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:queqiao-generate-command-$line[1]:"
        case $line[1] in
            (man)
_arguments "${_arguments_options[@]}" : \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':dir -- Directory for the pages, which is created if it is missing:_files' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
':shell -- Shell:(bash zsh fish)' \
&& ret=0
;;
        esac
    ;;
esac
;;
(help)
_arguments "${_arguments_options[@]}" : \
'--lang=[Language\: en or zh \[default\: from the locale\] \[env\: QUEQIAO_LANG\]]:en|zh:' \
'-h[Show this help]' \
'--help[Show this help]' \
'-V[Show the version]' \
'--version[Show the version]' \
'*::command -- Command \[default\: an overview\]:' \
&& ret=0
;;
        esac
    ;;
esac
}

(( $+functions[_queqiao_commands] )) ||
_queqiao_commands() {
    local commands; commands=(
'demo:Demo\: a relay and a few members in one process; in a terminal you are one of them' \
'relay:Run a relay' \
'chat:Chat with your contacts' \
'send:Send a message and report the result' \
'listen:Print incoming messages' \
'history:Show the message history, oldest first, or erase it' \
'ping:Measure round-trip time and packet loss to a relay, over UDP and TCP' \
'bench:Load-test a relay (the test names stay registered there)' \
'contacts:Show or edit the address book' \
'members:Manage who may use a relay (for its operator, on the relay'\''s machine)' \
'trust:Show, trust or replace the pinned key of a relay' \
'join:Join a relay with an invitation\: read it from the terminal or standard input, check the key, sign in' \
'generate:Write manual pages, or completions of a shell' \
'help:Show the help of a command' \
    )
    _describe -t commands 'queqiao commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__bench_commands] )) ||
_queqiao__subcmd__bench_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao bench commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__chat_commands] )) ||
_queqiao__subcmd__chat_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao chat commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__contacts_commands] )) ||
_queqiao__subcmd__contacts_commands() {
    local commands; commands=(
'list:List the contacts' \
'add:Add a contact' \
'remove:Remove a contact' \
'block:Block a contact' \
'unblock:Unblock a contact' \
'check:Check the address book for errors' \
    )
    _describe -t commands 'queqiao contacts commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__contacts__subcmd__add_commands] )) ||
_queqiao__subcmd__contacts__subcmd__add_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao contacts add commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__contacts__subcmd__block_commands] )) ||
_queqiao__subcmd__contacts__subcmd__block_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao contacts block commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__contacts__subcmd__check_commands] )) ||
_queqiao__subcmd__contacts__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao contacts check commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__contacts__subcmd__list_commands] )) ||
_queqiao__subcmd__contacts__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao contacts list commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__contacts__subcmd__remove_commands] )) ||
_queqiao__subcmd__contacts__subcmd__remove_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao contacts remove commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__contacts__subcmd__unblock_commands] )) ||
_queqiao__subcmd__contacts__subcmd__unblock_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao contacts unblock commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__demo_commands] )) ||
_queqiao__subcmd__demo_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao demo commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__generate_commands] )) ||
_queqiao__subcmd__generate_commands() {
    local commands; commands=(
'man:Write a manual page of each command into a directory' \
'completions:Print the completions of a shell; contacts complete by name' \
    )
    _describe -t commands 'queqiao generate commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__generate__subcmd__completions_commands] )) ||
_queqiao__subcmd__generate__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao generate completions commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__generate__subcmd__man_commands] )) ||
_queqiao__subcmd__generate__subcmd__man_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao generate man commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__help_commands] )) ||
_queqiao__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao help commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__history_commands] )) ||
_queqiao__subcmd__history_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao history commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__join_commands] )) ||
_queqiao__subcmd__join_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao join commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__listen_commands] )) ||
_queqiao__subcmd__listen_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao listen commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__members_commands] )) ||
_queqiao__subcmd__members_commands() {
    local commands; commands=(
'list:List the members and the open invitations' \
'invite:Create an invitation, one line that the new member gives to queqiao join' \
'remove:Remove a member\: ends the session and returns waiting messages to their senders' \
    )
    _describe -t commands 'queqiao members commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__members__subcmd__invite_commands] )) ||
_queqiao__subcmd__members__subcmd__invite_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao members invite commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__members__subcmd__list_commands] )) ||
_queqiao__subcmd__members__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao members list commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__members__subcmd__remove_commands] )) ||
_queqiao__subcmd__members__subcmd__remove_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao members remove commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__ping_commands] )) ||
_queqiao__subcmd__ping_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao ping commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__relay_commands] )) ||
_queqiao__subcmd__relay_commands() {
    local commands; commands=(
'backup:Copy the relay into one file, while it runs or not' \
'restore:Make a relay of a backup, in an empty directory (--data DIR)' \
    )
    _describe -t commands 'queqiao relay commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__relay__subcmd__backup_commands] )) ||
_queqiao__subcmd__relay__subcmd__backup_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao relay backup commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__relay__subcmd__restore_commands] )) ||
_queqiao__subcmd__relay__subcmd__restore_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao relay restore commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__send_commands] )) ||
_queqiao__subcmd__send_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao send commands' commands "$@"
}
(( $+functions[_queqiao__subcmd__trust_commands] )) ||
_queqiao__subcmd__trust_commands() {
    local commands; commands=()
    _describe -t commands 'queqiao trust commands' commands "$@"
}

if [ "$funcstack[1]" = "_queqiao" ]; then
    _queqiao "$@"
else
    compdef _queqiao queqiao
fi
