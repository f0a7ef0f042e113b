# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_queqiao_global_optspecs
    string join \n lang= h/help V/version
end

function __fish_queqiao_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_queqiao_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_queqiao_using_subcommand
    set -l cmd (__fish_queqiao_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c queqiao -n "__fish_queqiao_needs_command" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_needs_command" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_needs_command" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "demo" -d 'Demo: a relay and a few members in one process; in a terminal you are one of them'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "relay" -d 'Run a relay'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "chat" -d 'Chat with your contacts'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "send" -d 'Send a message and report the result'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "listen" -d 'Print incoming messages'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "history" -d 'Show the message history, oldest first, or erase it'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "ping" -d 'Measure round-trip time and packet loss to a relay, over UDP and TCP'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "bench" -d 'Load-test a relay (the test names stay registered there)'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "contacts" -d 'Show or edit the address book'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "members" -d 'Manage who may use a relay (for its operator, on the relay\'s machine)'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "trust" -d 'Show, trust or replace the pinned key of a relay'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "join" -d 'Join a relay with an invitation: read it from the terminal or standard input, check the key, sign in'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "generate" -d 'Write manual pages, or completions of a shell'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "help" -d 'Show the help of a command'
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -l as -d 'Your name [default: name under [me] in the address book] [env: QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -l color -d 'Colours: auto, always, never [default: auto] [env: QUEQIAO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l bind -d 'Where to listen on UDP: IP:PORT, HOST:PORT, PORT (of 127.0.0.1), or :PORT (every address); port 0 picks a free one [default: 127.0.0.1:8081] [env: QUEQIAO_BIND]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l tcp -d 'Also listen on TCP, on the same address unless another is given' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l address -d 'HOST:PORT where members reach the relay, for the lines it prints and for invitations [default: the machine\'s addresses] [env: QUEQIAO_ADDRESS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l data -d 'Directory for the relay\'s key, members and mailboxes [env: QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l limits -d 'off lifts the limits on senders; for benchmarks on loopback only [default: on] [env: QUEQIAO_LIMITS]' -r -f -a "on\t''
off\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l keep -d 'How long a message is kept for its recipient (counted while the relay runs) [default: 30d] [env: QUEQIAO_KEEP]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l mailbox-letters -d 'Maximum number of messages kept for one member [default: 10000] [env: QUEQIAO_MAILBOX_LETTERS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l mailbox-bytes -d 'Maximum size of all messages kept for one member [default: 32M] [env: QUEQIAO_MAILBOX_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l pair-letters -d 'Maximum number of messages from one sender kept for one member [default: 5000] [env: QUEQIAO_PAIR_LETTERS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l pair-bytes -d 'Maximum size of all messages from one sender kept for one member [default: 8M] [env: QUEQIAO_PAIR_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l sender-bytes -d 'Maximum size of all messages from one sender kept for all members together; never more than a sixteenth of --all-mailboxes-bytes [default: 64M] [env: QUEQIAO_SENDER_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l pair-rate -d 'Bytes per second that a member receives from one sender after a burst; the rest is sent later [default: 256K] [env: QUEQIAO_PAIR_RATE]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l pair-burst -d 'Bytes that a member receives from one sender at once [default: 4M] [env: QUEQIAO_PAIR_BURST]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l all-mailboxes-bytes -d 'Maximum size of all mailboxes together [default: 4G] [env: QUEQIAO_ALL_MAILBOXES_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l memory-bytes -d 'Maximum size of all messages not yet written to disk [default: 256M] [env: QUEQIAO_MEMORY_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l letters-per-second -d 'Messages per second from one member, long-term average [default: 100] [env: QUEQIAO_LETTERS_PER_SECOND]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l letters-burst -d 'Messages that one member may send at once after a pause [default: 1000] [env: QUEQIAO_LETTERS_BURST]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l control-per-second -d 'Control messages per second from one member, long-term average, without delivery and read receipts [default: 1000] [env: QUEQIAO_CONTROL_PER_SECOND]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l control-burst -d 'Control messages that one member may send at once after a pause [default: 10000] [env: QUEQIAO_CONTROL_BURST]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l names-per-hour -d 'New names per hour from one address (except from this machine); 0 allows none [default: 5] [env: QUEQIAO_NAMES_PER_HOUR]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l all-names-per-hour -d 'New names per hour in total, if other machines can reach the relay; half are for networks that have registered none that day [default: 60] [env: QUEQIAO_ALL_NAMES_PER_HOUR]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l members-max -d 'Maximum number of names; beyond it, only invited members can register [default: 10000] [env: QUEQIAO_MEMBERS_MAX]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l sessions -d 'Maximum number of sessions at a time [default: 131072] [env: QUEQIAO_SESSIONS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l stranger-sessions -d 'Maximum number of sessions at a time that have not signed in [default: 2048] [env: QUEQIAO_STRANGER_SESSIONS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l reassembly-bytes -d 'Maximum size of data received out of order, all sessions together [default: 64M] [env: QUEQIAO_REASSEMBLY_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l connections -d 'Maximum number of TCP connections at a time [default: 1024] [env: QUEQIAO_CONNECTIONS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l connections-per-address -d 'Maximum number of TCP connections at a time from one address (except from this machine) [default: 256] [env: QUEQIAO_CONNECTIONS_PER_ADDRESS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guests -d 'Serve plain-text guests; their messages go to NAME (echo replies in upper case) [env: QUEQIAO_GUESTS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l desk -d 'Answer guests in this window as NAME [default: DESK]; implies --guests NAME' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guest-encoding -d 'Encoding of guests; auto detects UTF-8 or GBK for each guest [default: auto]' -r -f -a "auto\t''
utf-8\t''
gbk\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guest-greeting -d 'Greeting for guests on TCP, at most 1,024 bytes' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guest-limit -d 'Maximum number of guests at a time; guests on UDP take half of it at most [default: 256] [env: QUEQIAO_GUEST_LIMIT]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l loopback-too -d 'Limit handshakes over loopback like those from any other network; for benchmarks [env: QUEQIAO_LOOPBACK_TOO]'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l closed -d 'Register new names by invitation only (queqiao members invite) [env: QUEQIAO_CLOSED]'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guest-anyone -d 'Let guests write to any member by starting with "@NAME "'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -f -a "backup" -d 'Copy the relay into one file, while it runs or not'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -f -a "restore" -d 'Make a relay of a backup, in an empty directory (--data DIR)'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from backup" -l data -d 'Directory for the relay\'s key, members and mailboxes [env: QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from backup" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from backup" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from backup" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from restore" -l data -d 'Directory for the relay\'s key, members and mailboxes [env: QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from restore" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from restore" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from restore" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l as -d 'Your name [default: name under [me] in the address book] [env: QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l invite -d 'Invitation code, for an invitation-only relay [env: QUEQIAO_INVITE]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l color -d 'Colours: auto, always, never [default: auto] [env: QUEQIAO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l tcp -d 'Use TCP only [env: QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l udp -d 'Use UDP only [env: QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l line -d 'Line mode, even in a terminal'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l contacts-only -d 'Accept messages from contacts only; to do so always, set contacts_only = true in the address book [env: QUEQIAO_CONTACTS_ONLY]'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l as -d 'Your name [default: name under [me] in the address book] [env: QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l invite -d 'Invitation code, for an invitation-only relay [env: QUEQIAO_INVITE]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l timeout -d 'Stop waiting after this long without progress; messages not accepted by then are sent next time [default: 10s] [env: QUEQIAO_TIMEOUT]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l wait -d 'Delivery state to wait for [default: accepted]' -r -f -a "accepted\t''
delivered\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l reply -d 'Then wait this long for a reply and print it' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l tcp -d 'Use TCP only [env: QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l udp -d 'Use UDP only [env: QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l lines -d 'Send each line of standard input as a message'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l as -d 'Your name [default: name under [me] in the address book] [env: QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l invite -d 'Invitation code, for an invitation-only relay [env: QUEQIAO_INVITE]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l count -d 'Exit after this many messages' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l for -d 'Exit after this long' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l tcp -d 'Use TCP only [env: QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l udp -d 'Use UDP only [env: QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l json -d 'Print one JSON object per line'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l contacts-only -d 'Accept messages from contacts only; to do so always, set contacts_only = true in the address book [env: QUEQIAO_CONTACTS_ONLY]'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l as -d 'Your name [default: name under [me] in the address book] [env: QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l last -d 'Only the last N messages' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l since -d 'Only messages from the last 2d, 5h, …' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l older -d 'Erase only messages older than this, for example 90d' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l json -d 'Print one JSON object per line'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l all -d 'All messages [default: in a terminal the last 50, else all]'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l forget -d 'Erase the history instead of showing it; messages in the outbox and messages that you have not seen are kept'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l yes -d 'Erase everything without asking'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l count -d 'Number of probes over UDP and over TCP [default: 4]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l tcp -d 'Use TCP only [env: QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l udp -d 'Use UDP only [env: QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l relay -d 'HOST:PORT of the relay, started with --limits off [default: 127.0.0.1:8081]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l pairs -d 'Pairs of members, one writing to the other [default: 4]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l window -d 'Messages each pair keeps in flight [default: 64]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l size -d 'Size of a message\'s text in bytes, at least 16 [default: 100]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l secs -d 'Duration, after one second of warm-up [default: 5]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l rate -d 'Send this many messages per second in total, evenly spaced; latency counts from the scheduled time' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l flood -d 'Also send this many random datagrams per second (relay on loopback only) [default: 0]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l idle -d 'Instead of messages: measure what this many idle members cost the relay, each at its own address; with --bare, also what their keep-alives cost the forwarding loop' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l relay-pid -d 'Process ID of the relay, to measure its CPU time per message and its memory (Linux)' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l as-server -d 'Internal: run as a benchmark server until standard input ends [possible values: relay, bare]' -r -f -a "relay\t''
bare\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l answer -d 'Answer each message with a message; both count'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l bare -d 'Start a relay and a loop that only forwards datagrams, each on one CPU, and compare their CPU time per message (Linux)'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l tcp -d 'Use TCP instead of UDP'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l json -d 'Print one JSON object'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "list" -d 'List the contacts'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "add" -d 'Add a contact'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "remove" -d 'Remove a contact'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "block" -d 'Block a contact'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "unblock" -d 'Unblock a contact'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "check" -d 'Check the address book for errors'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per line'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l names -d 'Print the names alone, one per line'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l member -d 'Name at the relay, if different' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l relay-key -d 'Fingerprint of the relay\'s key' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l note -d 'A note' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l group -d 'Group to list the contact under' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l tcp-addr -d 'TCP address of the relay, if different' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -l data -d 'The relay\'s data directory [env: QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -f -a "list" -d 'List the members and the open invitations'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -f -a "invite" -d 'Create an invitation, one line that the new member gives to queqiao join'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -f -a "remove" -d 'Remove a member: ends the session and returns waiting messages to their senders'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -l data -d 'The relay\'s data directory [env: QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per line'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -l for -d 'How long the invitation is valid [default: 7d]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -l address -d 'HOST:PORT where members reach the relay [default: its address when it was last started]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -l data -d 'The relay\'s data directory [env: QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from remove" -l data -d 'The relay\'s data directory [env: QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from remove" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from remove" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from remove" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l contacts -d 'Address book file [default: ./contacts.toml, then contacts.toml in the configuration directory] [env: QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l as -d 'Your name [default: name under [me] in the address book] [env: QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l data -d 'Directory for keys, pinned relay keys and messages [env: QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l tcp -d 'Use TCP only [env: QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l udp -d 'Use UDP only [env: QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -f -a "man" -d 'Write a manual page of each command into a directory'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -f -a "completions" -d 'Print the completions of a shell; contacts complete by name'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from man" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from man" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from man" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from completions" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from completions" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from completions" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand help" -l lang -d 'Language: en or zh [default: from the locale] [env: QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand help" -s h -l help -d 'Show this help'
complete -c queqiao -n "__fish_queqiao_using_subcommand help" -s V -l version -d 'Show the version'
complete -c queqiao -n "__fish_queqiao_using_subcommand help" -f
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -f -a "(queqiao contacts list --names 2>/dev/null)"
