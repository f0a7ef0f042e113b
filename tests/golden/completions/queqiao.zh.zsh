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
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
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
'--as=[你的名字 \[默认：通讯录 \[me\] 下的 name\] \[环境变量：QUEQIAO_AS\]]:名字:' \
'--color=[颜色：auto 自动，always 总是，never 从不 \[默认：auto\] \[环境变量：QUEQIAO_COLOR\]]:auto|always|never:(auto always never)' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
&& ret=0
;;
(relay)
_arguments "${_arguments_options[@]}" : \
'--bind=[UDP 监听地址："IP\:端口"、主机\:端口、端口（127.0.0.1）或 "\:端口"（全部地址）；端口 0 表示任选空闲端口 \[默认：127.0.0.1\:8081\] \[环境变量：QUEQIAO_BIND\]]:主机:端口:' \
'--tcp=[同时监听 TCP；不写地址则与 UDP 相同]::主机:端口:' \
'--address=[成员连接本中继所用的 主机\:端口，用于显示的通讯录行和邀请 \[默认：本机的地址\] \[环境变量：QUEQIAO_ADDRESS\]]:主机:端口:' \
'--data=[存放中继密钥、成员和信箱的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files' \
'--limits=[off 解除对发件人的限制；仅用于本机性能测试 \[默认：on\] \[环境变量：QUEQIAO_LIMITS\]]:on|off:(on off)' \
'--keep=[消息为收件人保留多久（只计中继运行的时间）\[默认：30d\] \[环境变量：QUEQIAO_KEEP\]]:时长:' \
'--mailbox-letters=[为一位成员最多保留的消息数 \[默认：10000\] \[环境变量：QUEQIAO_MAILBOX_LETTERS\]]:N:' \
'--mailbox-bytes=[为一位成员保留的消息的总大小上限 \[默认：32M\] \[环境变量：QUEQIAO_MAILBOX_BYTES\]]:大小:' \
'--pair-letters=[为一位成员最多保留的同一发件人的消息数 \[默认：5000\] \[环境变量：QUEQIAO_PAIR_LETTERS\]]:N:' \
'--pair-bytes=[为一位成员保留的同一发件人消息的总大小上限 \[默认：8M\] \[环境变量：QUEQIAO_PAIR_BYTES\]]:大小:' \
'--sender-bytes=[为所有成员保留的同一发件人消息的总大小上限，且不超过 --all-mailboxes-bytes 的十六分之一 \[默认：64M\] \[环境变量：QUEQIAO_SENDER_BYTES\]]:大小:' \
'--pair-rate=[突发之后，一位成员每秒从同一发件人收到的最大字节数；其余的稍后发送 \[默认：256K\] \[环境变量：QUEQIAO_PAIR_RATE\]]:大小:' \
'--pair-burst=[一位成员一次可从同一发件人收到的最大字节数 \[默认：4M\] \[环境变量：QUEQIAO_PAIR_BURST\]]:大小:' \
'--all-mailboxes-bytes=[所有信箱的总大小上限 \[默认：4G\] \[环境变量：QUEQIAO_ALL_MAILBOXES_BYTES\]]:大小:' \
'--memory-bytes=[尚未写入磁盘的消息的总大小上限 \[默认：256M\] \[环境变量：QUEQIAO_MEMORY_BYTES\]]:大小:' \
'--letters-per-second=[每位成员每秒的消息数（长期平均）\[默认：100\] \[环境变量：QUEQIAO_LETTERS_PER_SECOND\]]:N:' \
'--letters-burst=[每位成员停顿之后一次可发的消息数 \[默认：1000\] \[环境变量：QUEQIAO_LETTERS_BURST\]]:N:' \
'--control-per-second=[每位成员每秒的控制消息数（长期平均，不计送达和已读回执）\[默认：1000\] \[环境变量：QUEQIAO_CONTROL_PER_SECOND\]]:N:' \
'--control-burst=[每位成员停顿之后一次可发的控制消息数 \[默认：10000\] \[环境变量：QUEQIAO_CONTROL_BURST\]]:N:' \
'--names-per-hour=[每个地址每小时可注册的新名字数（本机除外）；0 表示不接受 \[默认：5\] \[环境变量：QUEQIAO_NAMES_PER_HOUR\]]:N:' \
'--all-names-per-hour=[每小时可注册的新名字总数（只对其他机器能连到的中继）；其中一半留给当天尚未注册过名字的网络 \[默认：60\] \[环境变量：QUEQIAO_ALL_NAMES_PER_HOUR\]]:N:' \
'--members-max=[名字总数上限；达到后只有受邀者能注册 \[默认：10000\] \[环境变量：QUEQIAO_MEMBERS_MAX\]]:N:' \
'--sessions=[同时的会话总数上限 \[默认：131072\] \[环境变量：QUEQIAO_SESSIONS\]]:N:' \
'--stranger-sessions=[同时的未登录会话数上限 \[默认：2048\] \[环境变量：QUEQIAO_STRANGER_SESSIONS\]]:N:' \
'--reassembly-bytes=[所有会话中乱序到达而暂存的数据的总大小上限 \[默认：64M\] \[环境变量：QUEQIAO_REASSEMBLY_BYTES\]]:大小:' \
'--connections=[同时的 TCP 连接总数上限 \[默认：1024\] \[环境变量：QUEQIAO_CONNECTIONS\]]:N:' \
'--connections-per-address=[每个地址同时的 TCP 连接数上限（本机除外）\[默认：256\] \[环境变量：QUEQIAO_CONNECTIONS_PER_ADDRESS\]]:N:' \
'(--desk)--guests=[接待使用纯文本的访客，消息交给指定成员（echo 则以大写回显）\[环境变量：QUEQIAO_GUESTS\]]:名字:' \
'--desk=[在本窗口以该名字回复访客 \[默认：DESK\]；相当于同时指定 --guests]::名字:' \
'--guest-encoding=[访客的编码；auto 对每位访客自动识别 UTF-8 或 GBK \[默认：auto\]]:auto|utf-8|gbk:(auto utf-8 gbk)' \
'--guest-greeting=[TCP 访客的欢迎语，最多 1,024 字节]:文字:' \
'--guest-limit=[同时接待的访客数上限（UDP 访客至多占一半）\[默认：256\] \[环境变量：QUEQIAO_GUEST_LIMIT\]]:N:' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'--loopback-too[像限制其他网络那样限制来自本机回环地址的握手；用于性能测试 \[环境变量：QUEQIAO_LOOPBACK_TOO\]]' \
'--closed[仅凭邀请注册新名字（queqiao members invite）\[环境变量：QUEQIAO_CLOSED\]]' \
'--guest-anyone[允许访客以“@名字 ”开头，写给任何成员]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
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
'--data=[存放中继密钥、成员和信箱的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':file -- 新文件；正在运行的中继必须能写入该处:_files' \
&& ret=0
;;
(restore)
_arguments "${_arguments_options[@]}" : \
'--data=[存放中继密钥、成员和信箱的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':file -- 备份文件:_files' \
&& ret=0
;;
        esac
    ;;
esac
;;
(chat)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--as=[你的名字 \[默认：通讯录 \[me\] 下的 name\] \[环境变量：QUEQIAO_AS\]]:名字:' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--invite=[邀请码，用于仅限受邀的中继 \[环境变量：QUEQIAO_INVITE\]]:邀请码:' \
'--color=[颜色：auto 自动，always 总是，never 从不 \[默认：auto\] \[环境变量：QUEQIAO_COLOR\]]:auto|always|never:(auto always never)' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[只用 TCP \[环境变量：QUEQIAO_TCP\]]' \
'(--tcp)--udp[只用 UDP \[环境变量：QUEQIAO_UDP\]]' \
'--line[行模式（在终端中也逐行显示）]' \
'--contacts-only[只接收联系人的消息；在通讯录中写上 contacts_only = true 则始终如此 \[环境变量：QUEQIAO_CONTACTS_ONLY\]]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
'::contact -- 启动后直接与谁聊天:_queqiao_contacts' \
&& ret=0
;;
(send)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--as=[你的名字 \[默认：通讯录 \[me\] 下的 name\] \[环境变量：QUEQIAO_AS\]]:名字:' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--invite=[邀请码，用于仅限受邀的中继 \[环境变量：QUEQIAO_INVITE\]]:邀请码:' \
'--timeout=[超过此时间没有进展就不再等待；未被接收的消息下次运行时发送 \[默认：10s\] \[环境变量：QUEQIAO_TIMEOUT\]]:时长:' \
'--wait=[等待到哪种状态 \[默认：accepted\]]:accepted|delivered:(accepted delivered)' \
'--reply=[然后等待对方回复，最多等这么久，并显示第一条]:时长:' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[只用 TCP \[环境变量：QUEQIAO_TCP\]]' \
'(--tcp)--udp[只用 UDP \[环境变量：QUEQIAO_UDP\]]' \
'--lines[将标准输入的每一行作为一条消息发送]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':contact -- 联系人，或 名字@主机\:端口；通讯录中只有一个中继时可写任意名字:_queqiao_contacts' \
'*::text -- 消息内容；- 表示从标准输入读取一条消息:' \
&& ret=0
;;
(listen)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--as=[你的名字 \[默认：通讯录 \[me\] 下的 name\] \[环境变量：QUEQIAO_AS\]]:名字:' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--invite=[邀请码，用于仅限受邀的中继 \[环境变量：QUEQIAO_INVITE\]]:邀请码:' \
'--count=[收到这么多条后退出]:N:' \
'--for=[经过这么长时间后退出]:时长:' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[只用 TCP \[环境变量：QUEQIAO_TCP\]]' \
'(--tcp)--udp[只用 UDP \[环境变量：QUEQIAO_UDP\]]' \
'--json[每行输出一个 JSON 对象]' \
'--contacts-only[只接收联系人的消息；在通讯录中写上 contacts_only = true 则始终如此 \[环境变量：QUEQIAO_CONTACTS_ONLY\]]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
&& ret=0
;;
(history)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--as=[你的名字 \[默认：通讯录 \[me\] 下的 name\] \[环境变量：QUEQIAO_AS\]]:名字:' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--last=[只显示最后 N 条]:N:' \
'--since=[只显示最近这段时间内的消息，例如 2d]:时长:' \
'--older=[只删除比这更早的消息，例如 90d]:时长:' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'--json[每行输出一个 JSON 对象]' \
'(--last)--all[全部消息 \[默认：终端中显示最后 50 条，否则全部\]]' \
'--forget[删除聊天记录而不显示；发件箱中的消息和尚未看过的消息会保留]' \
'--yes[不再询问，全部删除]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
'::contact -- 只看与谁的记录 \[默认：所有人\]:_queqiao_contacts' \
&& ret=0
;;
(ping)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--count=[UDP 和 TCP 各发送多少个探测包 \[默认：4\]]:N:' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[只用 TCP \[环境变量：QUEQIAO_TCP\]]' \
'(--tcp)--udp[只用 UDP \[环境变量：QUEQIAO_UDP\]]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
'::target -- 联系人或 主机\:端口 \[默认：通讯录中的每个中继\]:_queqiao_contacts' \
&& ret=0
;;
(bench)
_arguments "${_arguments_options[@]}" : \
'--relay=[中继的 主机\:端口，须带 --limits off 启动 \[默认：127.0.0.1\:8081\]]:主机:端口:' \
'--pairs=[成员对数，每对一人写给另一人 \[默认：4\]]:N:' \
'--window=[每对成员同时未确认的消息数 \[默认：64\]]:N:' \
'--size=[每条消息正文的字节数，至少 16 \[默认：100\]]:字节数:' \
'--secs=[测量时长（之前预热一秒）\[默认：5\]]:秒:' \
'--rate=[每秒总共发送的消息数，间隔均匀；延迟从计划发送的时刻算起]:N:' \
'--flood=[另外每秒发送多少个随机数据报（仅限本机回环地址上的中继）\[默认：0\]]:N:' \
'--idle=[不发消息，测量这么多空闲成员（各用一个地址）给中继带来的开销；加上 --bare 时还测量转发循环处理同样多保活包的开销]:N:' \
'--relay-pid=[中继的进程号，用于测量每条消息的 CPU 时间和内存（Linux）]:进程号:' \
'--as-server=[内部使用：作为测试用的服务进程运行，直到标准输入结束 \[可选值：relay、bare\]]:AS_SERVER:(relay bare)' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'--answer[对每条消息都回复一条；两条都计数]' \
'--bare[启动一个中继和一个只转发数据报的循环，各用一个处理器，比较两者每条消息的 CPU 时间（Linux）]' \
'--tcp[用 TCP 代替 UDP]' \
'--json[输出一个 JSON 对象]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
&& ret=0
;;
(contacts)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
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
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'--json[每行输出一个 JSON 对象]' \
'(--json)--names[只输出名字，每行一个]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
&& ret=0
;;
(add)
_arguments "${_arguments_options[@]}" : \
'--member=[对方在中继上的名字（如果不同）]:名字:' \
'--relay-key=[中继密钥的指纹]:指纹:' \
'--note=[备注]:文字:' \
'--group=[分组]:文字:' \
'--tcp-addr=[中继的 TCP 地址（如果不同）]:主机:端口:' \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':name -- 你给对方的备注名:' \
':relay -- 对方所在的中继：主机\:端口，或它在通讯录中的名字:' \
&& ret=0
;;
(remove)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':name -- 要删除的联系人:_queqiao_contacts' \
&& ret=0
;;
(block)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':name -- 联系人，或 名字@主机\:端口（会加入通讯录）:_queqiao_contacts' \
&& ret=0
;;
(unblock)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':name -- 联系人:_queqiao_contacts' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
&& ret=0
;;
        esac
    ;;
esac
;;
(members)
_arguments "${_arguments_options[@]}" : \
'--data=[中继的数据目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
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
'--data=[中继的数据目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'--json[每行输出一个 JSON 对象]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
&& ret=0
;;
(invite)
_arguments "${_arguments_options[@]}" : \
'--for=[邀请的有效期 \[默认：7d\]]:时长:' \
'--address=[成员连接中继所用的 主机\:端口 \[默认：中继上次启动时的地址\]]:主机:端口:' \
'--data=[中继的数据目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
'::name -- 为新成员保留的名字 \[默认：任何未注册的名字\]:' \
&& ret=0
;;
(remove)
_arguments "${_arguments_options[@]}" : \
'--data=[中继的数据目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':name -- 要移除的成员:' \
&& ret=0
;;
        esac
    ;;
esac
;;
(trust)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
'::relay -- 主机\:端口、通讯录中的中继，或该中继上的联系人:_queqiao_contacts' \
'::fingerprint -- 经管理员确认的指纹:' \
&& ret=0
;;
(join)
_arguments "${_arguments_options[@]}" : \
'--contacts=[通讯录文件 \[默认：./contacts.toml，其次为配置目录中的 contacts.toml\] \[环境变量：QUEQIAO_CONTACTS\]]:文件:_files' \
'--as=[你的名字 \[默认：通讯录 \[me\] 下的 name\] \[环境变量：QUEQIAO_AS\]]:名字:' \
'--data=[存放密钥、已保存的中继密钥和消息的目录 \[环境变量：QUEQIAO_DATA\]]:目录:_files -/' \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'(--udp)--tcp[只用 TCP \[环境变量：QUEQIAO_TCP\]]' \
'(--tcp)--udp[只用 UDP \[环境变量：QUEQIAO_UDP\]]' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
'::invitation -- 邀请；最好在提示时粘贴，因为本机其他用户能看到命令行参数:' \
&& ret=0
;;
(generate)
_arguments "${_arguments_options[@]}" : \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
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
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':dir -- 存放手册页的目录，不存在则创建:_files' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
':shell -- shell:(bash zsh fish)' \
&& ret=0
;;
        esac
    ;;
esac
;;
(help)
_arguments "${_arguments_options[@]}" : \
'--lang=[语言：en（英文）或 zh（中文）\[默认：跟随系统语言\] \[环境变量：QUEQIAO_LANG\]]:en|zh:' \
'-h[显示本帮助]' \
'--help[显示本帮助]' \
'-V[显示版本]' \
'--version[显示版本]' \
'*::command -- 命令 \[默认：概览\]:' \
&& ret=0
;;
        esac
    ;;
esac
}

(( $+functions[_queqiao_commands] )) ||
_queqiao_commands() {
    local commands; commands=(
'demo:演示：在一个进程里运行中继和几位成员，你也在其中' \
'relay:启动中继' \
'chat:与联系人聊天' \
'send:发送一条消息并报告结果' \
'listen:显示收到的消息' \
'history:显示聊天记录（从旧到新），或将其删除' \
'ping:测量到中继的往返时间和丢包率（UDP 与 TCP）' \
'bench:对中继做压力测试（测试用的名字会留在中继上）' \
'contacts:查看或修改通讯录' \
'members:管理中继成员（由管理员在中继所在的机器上运行）' \
'trust:查看、信任或更换已保存的中继密钥' \
'join:凭邀请加入中继：从终端或标准输入读取邀请，核对密钥，登录' \
'generate:生成手册页，或 shell 的补全脚本' \
'help:显示命令的帮助' \
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
'list:列出联系人' \
'add:添加联系人' \
'remove:删除联系人' \
'block:屏蔽联系人' \
'unblock:取消屏蔽联系人' \
'check:检查通讯录是否有错误' \
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
'man:把每个命令的手册页写入目录' \
'completions:输出 shell 的补全脚本；联系人可按名字补全' \
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
'list:列出成员和未使用的邀请' \
'invite:创建邀请：一行文字，由新成员交给 queqiao join' \
'remove:移除成员：结束其会话，并将等待中的消息退回发件人' \
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
'backup:把中继复制到一个文件中，中继运行与否均可' \
'restore:由备份恢复中继，放入空目录（--data 目录）' \
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
