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

complete -c queqiao -n "__fish_queqiao_needs_command" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_needs_command" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_needs_command" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "demo" -d '演示：在一个进程里运行中继和几位成员，你也在其中'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "relay" -d '启动中继'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "chat" -d '与联系人聊天'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "send" -d '发送一条消息并报告结果'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "listen" -d '显示收到的消息'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "history" -d '显示聊天记录（从旧到新），或将其删除'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "ping" -d '测量到中继的往返时间和丢包率（UDP 与 TCP）'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "bench" -d '对中继做压力测试（测试用的名字会留在中继上）'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "contacts" -d '查看或修改通讯录'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "members" -d '管理中继成员（由管理员在中继所在的机器上运行）'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "trust" -d '查看、信任或更换已保存的中继密钥'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "join" -d '凭邀请加入中继：从终端或标准输入读取邀请，核对密钥，登录'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "generate" -d '生成手册页，或 shell 的补全脚本'
complete -c queqiao -n "__fish_queqiao_needs_command" -f -a "help" -d '显示命令的帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -l as -d '你的名字 [默认：通讯录 [me] 下的 name] [环境变量：QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -l color -d '颜色：auto 自动，always 总是，never 从不 [默认：auto] [环境变量：QUEQIAO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand demo" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l bind -d 'UDP 监听地址："IP:端口"、主机:端口、端口（127.0.0.1）或 ":端口"（全部地址）；端口 0 表示任选空闲端口 [默认：127.0.0.1:8081] [环境变量：QUEQIAO_BIND]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l tcp -d '同时监听 TCP；不写地址则与 UDP 相同' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l address -d '成员连接本中继所用的 主机:端口，用于显示的通讯录行和邀请 [默认：本机的地址] [环境变量：QUEQIAO_ADDRESS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l data -d '存放中继密钥、成员和信箱的目录 [环境变量：QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l limits -d 'off 解除对发件人的限制；仅用于本机性能测试 [默认：on] [环境变量：QUEQIAO_LIMITS]' -r -f -a "on\t''
off\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l keep -d '消息为收件人保留多久（只计中继运行的时间）[默认：30d] [环境变量：QUEQIAO_KEEP]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l mailbox-letters -d '为一位成员最多保留的消息数 [默认：10000] [环境变量：QUEQIAO_MAILBOX_LETTERS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l mailbox-bytes -d '为一位成员保留的消息的总大小上限 [默认：32M] [环境变量：QUEQIAO_MAILBOX_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l pair-letters -d '为一位成员最多保留的同一发件人的消息数 [默认：5000] [环境变量：QUEQIAO_PAIR_LETTERS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l pair-bytes -d '为一位成员保留的同一发件人消息的总大小上限 [默认：8M] [环境变量：QUEQIAO_PAIR_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l sender-bytes -d '为所有成员保留的同一发件人消息的总大小上限，且不超过 --all-mailboxes-bytes 的十六分之一 [默认：64M] [环境变量：QUEQIAO_SENDER_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l pair-rate -d '突发之后，一位成员每秒从同一发件人收到的最大字节数；其余的稍后发送 [默认：256K] [环境变量：QUEQIAO_PAIR_RATE]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l pair-burst -d '一位成员一次可从同一发件人收到的最大字节数 [默认：4M] [环境变量：QUEQIAO_PAIR_BURST]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l all-mailboxes-bytes -d '所有信箱的总大小上限 [默认：4G] [环境变量：QUEQIAO_ALL_MAILBOXES_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l memory-bytes -d '尚未写入磁盘的消息的总大小上限 [默认：256M] [环境变量：QUEQIAO_MEMORY_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l letters-per-second -d '每位成员每秒的消息数（长期平均）[默认：100] [环境变量：QUEQIAO_LETTERS_PER_SECOND]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l letters-burst -d '每位成员停顿之后一次可发的消息数 [默认：1000] [环境变量：QUEQIAO_LETTERS_BURST]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l control-per-second -d '每位成员每秒的控制消息数（长期平均，不计送达和已读回执）[默认：1000] [环境变量：QUEQIAO_CONTROL_PER_SECOND]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l control-burst -d '每位成员停顿之后一次可发的控制消息数 [默认：10000] [环境变量：QUEQIAO_CONTROL_BURST]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l names-per-hour -d '每个地址每小时可注册的新名字数（本机除外）；0 表示不接受 [默认：5] [环境变量：QUEQIAO_NAMES_PER_HOUR]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l all-names-per-hour -d '每小时可注册的新名字总数（只对其他机器能连到的中继）；其中一半留给当天尚未注册过名字的网络 [默认：60] [环境变量：QUEQIAO_ALL_NAMES_PER_HOUR]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l members-max -d '名字总数上限；达到后只有受邀者能注册 [默认：10000] [环境变量：QUEQIAO_MEMBERS_MAX]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l sessions -d '同时的会话总数上限 [默认：131072] [环境变量：QUEQIAO_SESSIONS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l stranger-sessions -d '同时的未登录会话数上限 [默认：2048] [环境变量：QUEQIAO_STRANGER_SESSIONS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l reassembly-bytes -d '所有会话中乱序到达而暂存的数据的总大小上限 [默认：64M] [环境变量：QUEQIAO_REASSEMBLY_BYTES]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l connections -d '同时的 TCP 连接总数上限 [默认：1024] [环境变量：QUEQIAO_CONNECTIONS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l connections-per-address -d '每个地址同时的 TCP 连接数上限（本机除外）[默认：256] [环境变量：QUEQIAO_CONNECTIONS_PER_ADDRESS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guests -d '接待使用纯文本的访客，消息交给指定成员（echo 则以大写回显）[环境变量：QUEQIAO_GUESTS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l desk -d '在本窗口以该名字回复访客 [默认：DESK]；相当于同时指定 --guests' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guest-encoding -d '访客的编码；auto 对每位访客自动识别 UTF-8 或 GBK [默认：auto]' -r -f -a "auto\t''
utf-8\t''
gbk\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guest-greeting -d 'TCP 访客的欢迎语，最多 1,024 字节' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guest-limit -d '同时接待的访客数上限（UDP 访客至多占一半）[默认：256] [环境变量：QUEQIAO_GUEST_LIMIT]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l loopback-too -d '像限制其他网络那样限制来自本机回环地址的握手；用于性能测试 [环境变量：QUEQIAO_LOOPBACK_TOO]'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l closed -d '仅凭邀请注册新名字（queqiao members invite）[环境变量：QUEQIAO_CLOSED]'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -l guest-anyone -d '允许访客以“@名字 ”开头，写给任何成员'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -f -a "backup" -d '把中继复制到一个文件中，中继运行与否均可'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and not __fish_seen_subcommand_from backup restore" -f -a "restore" -d '由备份恢复中继，放入空目录（--data 目录）'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from backup" -l data -d '存放中继密钥、成员和信箱的目录 [环境变量：QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from backup" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from backup" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from backup" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from restore" -l data -d '存放中继密钥、成员和信箱的目录 [环境变量：QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from restore" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from restore" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand relay; and __fish_seen_subcommand_from restore" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l as -d '你的名字 [默认：通讯录 [me] 下的 name] [环境变量：QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l invite -d '邀请码，用于仅限受邀的中继 [环境变量：QUEQIAO_INVITE]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l color -d '颜色：auto 自动，always 总是，never 从不 [默认：auto] [环境变量：QUEQIAO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l tcp -d '只用 TCP [环境变量：QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l udp -d '只用 UDP [环境变量：QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l line -d '行模式（在终端中也逐行显示）'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -l contacts-only -d '只接收联系人的消息；在通讯录中写上 contacts_only = true 则始终如此 [环境变量：QUEQIAO_CONTACTS_ONLY]'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l as -d '你的名字 [默认：通讯录 [me] 下的 name] [环境变量：QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l invite -d '邀请码，用于仅限受邀的中继 [环境变量：QUEQIAO_INVITE]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l timeout -d '超过此时间没有进展就不再等待；未被接收的消息下次运行时发送 [默认：10s] [环境变量：QUEQIAO_TIMEOUT]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l wait -d '等待到哪种状态 [默认：accepted]' -r -f -a "accepted\t''
delivered\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l reply -d '然后等待对方回复，最多等这么久，并显示第一条' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l tcp -d '只用 TCP [环境变量：QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l udp -d '只用 UDP [环境变量：QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -l lines -d '将标准输入的每一行作为一条消息发送'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l as -d '你的名字 [默认：通讯录 [me] 下的 name] [环境变量：QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l invite -d '邀请码，用于仅限受邀的中继 [环境变量：QUEQIAO_INVITE]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l count -d '收到这么多条后退出' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l for -d '经过这么长时间后退出' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l tcp -d '只用 TCP [环境变量：QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l udp -d '只用 UDP [环境变量：QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l json -d '每行输出一个 JSON 对象'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -l contacts-only -d '只接收联系人的消息；在通讯录中写上 contacts_only = true 则始终如此 [环境变量：QUEQIAO_CONTACTS_ONLY]'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand listen" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l as -d '你的名字 [默认：通讯录 [me] 下的 name] [环境变量：QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l last -d '只显示最后 N 条' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l since -d '只显示最近这段时间内的消息，例如 2d' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l older -d '只删除比这更早的消息，例如 90d' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l json -d '每行输出一个 JSON 对象'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l all -d '全部消息 [默认：终端中显示最后 50 条，否则全部]'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l forget -d '删除聊天记录而不显示；发件箱中的消息和尚未看过的消息会保留'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -l yes -d '不再询问，全部删除'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l count -d 'UDP 和 TCP 各发送多少个探测包 [默认：4]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l tcp -d '只用 TCP [环境变量：QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -l udp -d '只用 UDP [环境变量：QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l relay -d '中继的 主机:端口，须带 --limits off 启动 [默认：127.0.0.1:8081]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l pairs -d '成员对数，每对一人写给另一人 [默认：4]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l window -d '每对成员同时未确认的消息数 [默认：64]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l size -d '每条消息正文的字节数，至少 16 [默认：100]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l secs -d '测量时长（之前预热一秒）[默认：5]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l rate -d '每秒总共发送的消息数，间隔均匀；延迟从计划发送的时刻算起' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l flood -d '另外每秒发送多少个随机数据报（仅限本机回环地址上的中继）[默认：0]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l idle -d '不发消息，测量这么多空闲成员（各用一个地址）给中继带来的开销；加上 --bare 时还测量转发循环处理同样多保活包的开销' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l relay-pid -d '中继的进程号，用于测量每条消息的 CPU 时间和内存（Linux）' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l as-server -d '内部使用：作为测试用的服务进程运行，直到标准输入结束 [可选值：relay、bare]' -r -f -a "relay\t''
bare\t''"
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l answer -d '对每条消息都回复一条；两条都计数'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l bare -d '启动一个中继和一个只转发数据报的循环，各用一个处理器，比较两者每条消息的 CPU 时间（Linux）'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l tcp -d '用 TCP 代替 UDP'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -l json -d '输出一个 JSON 对象'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand bench" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "list" -d '列出联系人'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "add" -d '添加联系人'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "remove" -d '删除联系人'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "block" -d '屏蔽联系人'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "unblock" -d '取消屏蔽联系人'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and not __fish_seen_subcommand_from list add remove block unblock check" -f -a "check" -d '检查通讯录是否有错误'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l json -d '每行输出一个 JSON 对象'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -l names -d '只输出名字，每行一个'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from list" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l member -d '对方在中继上的名字（如果不同）' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l relay-key -d '中继密钥的指纹' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l note -d '备注' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l group -d '分组' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l tcp-addr -d '中继的 TCP 地址（如果不同）' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from add" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from check" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -l data -d '中继的数据目录 [环境变量：QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -f -a "list" -d '列出成员和未使用的邀请'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -f -a "invite" -d '创建邀请：一行文字，由新成员交给 queqiao join'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and not __fish_seen_subcommand_from list invite remove" -f -a "remove" -d '移除成员：结束其会话，并将等待中的消息退回发件人'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -l data -d '中继的数据目录 [环境变量：QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -l json -d '每行输出一个 JSON 对象'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from list" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -l for -d '邀请的有效期 [默认：7d]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -l address -d '成员连接中继所用的 主机:端口 [默认：中继上次启动时的地址]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -l data -d '中继的数据目录 [环境变量：QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from invite" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from remove" -l data -d '中继的数据目录 [环境变量：QUEQIAO_DATA]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from remove" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from remove" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand members; and __fish_seen_subcommand_from remove" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l contacts -d '通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml] [环境变量：QUEQIAO_CONTACTS]' -r -F
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l as -d '你的名字 [默认：通讯录 [me] 下的 name] [环境变量：QUEQIAO_AS]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l data -d '存放密钥、已保存的中继密钥和消息的目录 [环境变量：QUEQIAO_DATA]' -r -f -a "(__fish_complete_directories)"
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l tcp -d '只用 TCP [环境变量：QUEQIAO_TCP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -l udp -d '只用 UDP [环境变量：QUEQIAO_UDP]'
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand join" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -f -a "man" -d '把每个命令的手册页写入目录'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -f -a "completions" -d '输出 shell 的补全脚本；联系人可按名字补全'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from man" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from man" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from man" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from completions" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from completions" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand generate; and __fish_seen_subcommand_from completions" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand help" -l lang -d '语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]' -r -f
complete -c queqiao -n "__fish_queqiao_using_subcommand help" -s h -l help -d '显示本帮助'
complete -c queqiao -n "__fish_queqiao_using_subcommand help" -s V -l version -d '显示版本'
complete -c queqiao -n "__fish_queqiao_using_subcommand help" -f
complete -c queqiao -n "__fish_queqiao_using_subcommand chat" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand send" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand history" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand ping" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from remove" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from block" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand contacts; and __fish_seen_subcommand_from unblock" -f -a "(queqiao contacts list --names 2>/dev/null)"
complete -c queqiao -n "__fish_queqiao_using_subcommand trust" -f -a "(queqiao contacts list --names 2>/dev/null)"
