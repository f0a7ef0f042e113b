# 面向用户的句子，中文。键和参数与 en.ftl 相同，由测试检查。
# `count` 是数字，其余参数是已清理的文本。

## 行模式

chat-choose = 请选择聊天对象:{" "}
chat-write = 请输入消息,回车发送:{" "}
chat-incoming = 来自 { $who } [{ $via }] { $time } 的一条消息：
chat-missing = 此处缺少 { $count } 条消息
chat-contacts = 联系人：{ $names }
chat-no-contacts = 通讯录是空的。添加联系人：queqiao contacts add 名字 主机:端口
chat-any-name = 还没有联系人；可直接输入 { $relay } 上的任何名字，或添加：queqiao contacts add 名字 { $relay }
chat-no-such-command = 未发送：没有命令 { $command }。输入 /help 查看全部命令；要发送以 / 开头的文字，请输入 //
chat-command-usage = 用法：{ $usage }
chat-slashguard = 未发送：是想输入命令 { $command } 吗？请去掉它前面的内容；要发送以 / 开头的文字，请输入 //
chat-too-long = 未发送：消息有 { $len } 字节，上限为 { $max } 字节。原文：
chat-text-back = 原文：
chat-receipts-on = 送达回执：已开启
chat-receipts-off = 送达回执：已关闭
chat-receipt = ✓✓ 已送达 { $who }：“{ $text }”
chat-not-accepted-yet = { $count ->
    [1] 中继尚未接收你发给 { $who } 的消息：“{ $text }”
   *[other] 中继尚未接收你发给 { $who } 的 { $count } 条消息
}
chat-not-delivered-yet = { $count ->
    [1] { $who } 尚未收到你的消息：“{ $text }”
   *[other] { $who } 尚未收到你的 { $count } 条消息
}
chat-delivered-late = 发给 { $who } 的消息已全部送达
chat-left-unsent = 有 { $count } 条消息中继尚未接收，已存入发件箱，下次运行时自动发送
chat-status-online = { $relay }：已连接（{ $via }）
chat-status-measured = { $relay }：已连接（{ $via }），往返 { $ms } 毫秒
chat-status-connecting = { $relay }：正在连接
chat-status-lost = { $relay }：连接已断开，正在重连
chat-status-unreached = { $relay }：无法连接，正在重试
chat-status-stopped = { $relay }：已断开，不再重试
chat-help-title = 命令：
chat-help-line = { $usage }  { $meaning }
usage-contact = 联系人
usage-name = 名字
chat-help-quit-word = 返回选择联系人；在选择界面输入则退出
chat-help-slashes = 发送以 / 开头的文字
chat-help-help = 显示本帮助
chat-help-who = 列出联系人
chat-help-to = 切换到另一位联系人
chat-help-status = 显示与各中继的连接状态
chat-help-path = 只用 UDP、只用 TCP，或自动选择
chat-path-udp = 通道：只用 UDP
chat-path-tcp = 通道：只用 TCP
chat-path-auto = 通道：自动选择 UDP 或 TCP
chat-help-receipts = 开启或关闭送达回执
chat-help-quit = 退出

## 输入

input-not-utf8 = 未发送：这段文字不是有效的 UTF-8；请先转换（GBK 用 iconv -f GBK -t UTF-8）
input-dropped = 不是 UTF-8，已略去；其余文字保留
input-set-locale = not UTF-8, so left out. Set your terminal to UTF-8, then run: export LC_ALL=C.UTF-8 ({ $locale } now)
input-too-long = 未发送：这一行超过 { $max } 字节
input-failed = 无法读取标准输入：{ $cause }

## 被拒的消息

refused-unknown = 未送达：{ $who } 从未在 { $relay } 登录过，或已被移除
refused-unknown-there = 未送达：{ $who } 从未在该中继登录过，或已被移除
refused-full = 未送达：{ $who } 的信箱已满，或不再保存通讯录以外的人发来的消息
refused-too-long = 未送达：消息超过中继允许的长度
refused-blocked = 未送达：{ $who } 不接收你的消息
refused-expired = 未送达：{ $who } 未在期限内收取
refused-behind = 未送达：前一条消息被拒
refused-old-copy = 未送达：你的数据目录是旧副本，请重新发送
refused-damaged = 未送达：消息在磁盘上损坏，请重新发送
refused-unsupported = 未送达：{ $who } 的客户端无法显示这种类型的消息
refused-other = 未送达：发给 { $who } 的消息被拒，本版本不认识原因代码 { $code }；请更新鹊桥
refused-may-have-arrived = 但对方也可能已经收到
refused-nearest = 相近的名字：{ $names }

## 连接

relay-silent = { $relay } 上没有中继响应；可用以下命令启动：queqiao relay --tcp
relays-silent = { $relay } 及另外 { $count } 处没有中继响应；可用以下命令启动：queqiao relay --tcp
relay-no-tcp = { $relay } 未监听 TCP；启动中继时请加上 --tcp
relay-no-host = 无法解析 { $relay } 的主机名；请检查拼写
relay-no-zone = 本机没有名为 { $zone } 的网络接口，无法通过它连接 { $relay }
relay-no-name-server = DNS 没有响应，无法查到 { $relay } 的主机；请检查本机网络，或改用 IP 地址
relay-no-route = 没有通往 { $relay } 的路由；请检查地址和本机网络
ping-one-carrier = { $relay } 只在 UDP 和 TCP 之一上有响应；防火墙可能丢弃了另一个
relay-not-permitted = 本机的防火墙或规则禁止向 { $relay } 发送
relay-too-big = 通往 { $relay } 的网络不能传送 1,200 字节的 UDP 数据包；请把 MTU 提高到 1,280，或使用 TCP（启动中继时加 --tcp）
relay-no-room = 系统没有可用的套接字来连接 { $relay }；请提高打开文件数的上限（ulimit -n）
relays-unreached = 无法连接 { $relay } 及另外 { $count } 处；请检查本机网络
relay-name-not-written = { $relay } 的中继暂时无法注册新名字，正在重试
relay-refused = { $relay } 的中继有响应，但握手失败：它无法证明自己的密钥，或不接受你的密钥
relay-key-changed = { $relay } 的中继密钥与已保存的（{ $pinned }）不同，不会向它发送任何内容。若管理员确认新密钥，请运行：queqiao trust { $relay } { $offered }
relay-key-unlike-book = { $relay } 的中继出示的密钥是 { $offered }，应为 { $wanted }；不会向它发送任何内容。若管理员确认所出示的密钥，请运行：queqiao trust { $relay } { $offered }
relay-key-unlike-pin = { $relay } 的中继密钥应为 { $wanted }，但已保存的是 { $pinned }；不会向它发送任何内容。若管理员确认前者，请运行：queqiao trust { $relay } { $wanted }
relay-pinned = 首次连接 { $relay }：已保存其密钥 { $key }，请与管理员看到的密钥核对（中继第一行输出中的 key=…）
relay-lost = 与 { $relay } 的连接已断开，正在重连
relay-online = 已连接到 { $relay }（{ $via }）
relay-online-again = 已重新连接到 { $relay }（{ $via }）
relay-moved-silent = { $relay }：UDP 无响应，已切换到 TCP
relay-moved-poor = { $relay }：UDP 丢包过多，已切换到 TCP
relay-moved-proved = { $relay }：UDP 可用，已切换到 UDP
relay-moved-broken = { $relay }：TCP 连接已断开，已切换到 UDP
relay-moved-asked = { $relay }：已按你的要求切换到 { $via }
notice-at = { $time }  { $what }
history-forget-alone = --forget 不能与 --json、--last、--since 或 --all 同时使用
history-needs-forget = --older 和 --yes 只能与 --forget 一起使用
history-forget-all = 这将删除与所有人的全部聊天记录；请指定联系人或时间（--older 90d），或加上 --yes
history-forget-ask = 要删除与所有人的全部消息（{ $count } 条）吗？（y/N）
history-forget-not = 没有删除任何内容
history-waiting-stay = { $count } 条尚在途中的消息已保留
history-unseen-stay = { $count } 条你尚未看过的消息已保留；可用 queqiao listen 查看
history-in-use = 已从聊天记录中删除，但另一个进程仍在读取旧的 { $file }；请在它退出后再运行一次
strangers-full = 通讯录以外的人发来的消息已占 { $size } MiB，更多的将被拒收；请用 queqiao history --forget 腾出空间，或用 queqiao contacts add 添加发件人
relay-replaced = 你的密钥已在别处登录 { $relay }（另一台机器，或同一中继的另一地址）；此处的会话已断开
outbox-lost = { $count ->
   *[other] { $relay } 的中继是从备份恢复的：它已接收的 { $count } 条给 { $who } 的消息可能没有送达；现在重新发送，不会重复显示
}
outbox-old-copy = 本数据目录是旧副本：它的另一副本此后已在 { $relay } 使用过。新消息照常发送；等待中的消息会退回，它们可能已送达

## 名字

name-taken = { $name } 在 { $relay } 已被占用：它由另一个密钥注册；请用 --as 换一个名字
name-confusable = { $name } 与 { $relay } 上已有的 { $other } 过于相似；请用 --as 换一个名字
name-reserved = { $name } 是中继的保留名字；请用 --as 换一个名字
name-bad = { $name } 不是有效的名字：1 到 32 个字符，可用任何文字的字母、数字以及 . _ -
name-other = 你在 { $relay } 已注册为 { $other }；请用 --as { $other }
name-other-unknown = 你在 { $relay } 已用另一个名字注册
name-too-many = 近期从本地址在 { $relay } 注册的名字过多；请一小时后再试
name-relay-full = { $relay } 的成员已满；请向管理员索取邀请
name-empty = 名字不能为空
name-too-long = 名字最多 32 个字符、96 字节
name-bad-character = 名字不能包含 { $character }：可用任何文字的字母、数字以及 . _ -
name-not-given = 未指定名字：请用 --as 名字，或在通讯录的 [me] 下设置 name
name-ask = 你的名字：

## 地址

address-empty = 地址为空：请写“主机:端口”，例如 127.0.0.1:8081
address-no-port = 地址需要端口：主机:端口，例如 127.0.0.1:8081
address-bad-port = 端口必须是 1 到 65535 之间的数字
address-bad-host = 主机必须是 IP 地址或主机名
address-no-brackets = IPv6 地址请放在方括号中：[::1]:8081
address-url = 地址只写“主机:端口”，前面不加 http://，端口后面什么也不写
address-not-ascii = 主机名只能用 ASCII 字母：请写以 xn-- 开头的形式，或 IP 地址
address-full-width-colon = 冒号请用半角 :，不要用全角 ：

## 中继

relay-contacts-line = { $count ->
    [1] 请将下面的内容加入每位成员的通讯录（[contacts] 之下）：
   *[other] 请从下面选一行成员能连到的地址，加入每位成员的通讯录（[contacts] 之下）：
}
relay-contacts-name = "名字"
relay-reloaded = 收到挂断信号：已重新读取成员所用的地址（{ $count } 个）；选项和限制到下次启动才会改变
relay-limits-off-public = --limits off 仅用于性能测试，须用回环地址，不能用 { $addr }
relay-no-message-fits = 一条消息也放不下：--pair-bytes、--mailbox-bytes、--all-mailboxes-bytes 和 --memory-bytes 都须大于 128；要容纳各种长度的消息，请用 128K
relay-few-files = 系统只允许本中继打开 { $files } 个文件，而它的上限需要 { $promised } 个；请提高 ulimit -n，或调低 --connections

# 中继日志的各行。relay-log-started 和 relay-log-totals 的 `$what` 供脚本读取，不翻译。
relay-log-started = 已启动：queqiao { $version } { $what }
relay-log-stopped = 已停止：{ $why }
relay-log-broken = 已停止：磁盘出错；此前已接收的消息都已保存
relay-log-registered = 已注册 { $name }
relay-log-joined = 已注册 { $name }，其邀请已用掉
relay-log-freed = { $name } 从未使用，名字已释放
relay-log-refused = 拒绝 { $name } 登录：{ $why }
relay-log-why-taken = 该名字属于另一密钥
relay-log-why-confusable = 与另一成员的名字相像
relay-log-why-reserved = 该名字由中继保留
relay-log-why-bad = 不是有效的名字
relay-log-why-other = 该密钥在此已有另一个名字
relay-log-why-too-many = 近来从该处注册或尝试过多
relay-log-why-disk = 磁盘暂时无法写入名字
relay-log-why-closed = 没有有效的邀请
relay-log-why-kept = 该名字为某个邀请保留，或邀请属于另一个名字
relay-log-why-removed = 已被移除，需要邀请
relay-log-why-full = 成员已达上限（--members-max）
relay-log-why-old-copy = 其数据目录是旧副本；客户端会改用新的发件箱再次登录
relay-log-invited = 已为 { $name } 创建邀请
relay-log-invited-anybody = 已创建邀请，可用于任何空闲的名字
relay-log-invited-again = 已为 { $name } 创建邀请；先前的邀请已失效
relay-log-removed = 已移除 { $name }
relay-log-signed-in = { $name } 已登录，来自 { $from }，经由 { $via }
relay-log-signed-out = { $name } 已离线
relay-log-left-out = 另有 { $count } 行类似内容未写出
relay-log-disk = 磁盘：{ $why }
relay-log-disk-over = 磁盘：已恢复写入
relay-log-totals = 最近 { $time }：{ $what }
relay-log-flood = { $what } 洪泛开始：一秒内 { $number } 个
relay-log-flood-over = { $what } 洪泛结束：持续 { $time }，共 { $number } 个
relay-log-flood-datagrams = 不属于任何会话的数据报
relay-log-flood-handshakes = 地址未经证实的握手
relay-log-flood-connections = TCP 连接
relay-log-flood-guests = 访客文字
relay-log-flood-sign-ins = 被拒登录
relay-log-minutes = { $count } 分钟
relay-log-seconds = { $count } 秒

## 命令

send-not-accepted = { $time } 秒内中继未接收；消息已存入发件箱，下次运行时自动发送
send-name-refused = 未发送：{ $why }，再重新发送
send-stays = 消息已存入发件箱，以下问题解决后自动发送：{ $why }
send-not-delivered = 中继已接收，但 { $time } 秒内未送达
send-no-reply = { $time } 秒内没有回复
send-no-text = 没有要发送的内容
listen-time-ran-out = 等待超时，收到 { $count } 条消息

bench-flood-public = --flood 只能用于本机的中继，不能用于 { $relay }
bench-idle-public = --idle 只能用于本机的中继（127/8 内的 IPv4 地址），不能用于 { $relay }
bench-idle-stalled = 登录 { $online } 个空闲成员之后，中继不再接受新成员；请检查它是否在运行、容量是否足够、是否带 --limits off 启动
bench-idle-lost = { $lost } 个空闲会话已丢失
bench-no-cpu = 无法读取进程 { $pid } 的 CPU 时间：{ $cause }
bench-throttled = 中继限制每个发件人每秒 100 条消息，测到的只是这个限制；请用 --limits off 启动中继
bench-unsound = 有消息丢失、被拒、重复、被改动或乱序，或一条都没有送达
bench-bare-alone = --bare 自行启动中继，负载由 --window 或 --idle 决定；请去掉 { $argument }
bench-bare-size = --bare 只能比较不超过 { $max } 字节的消息
bench-bare-linux = --bare 仅支持 Linux
bench-rate-and-window = --rate 已决定发送时刻；请去掉 --window
bench-idle-alone = --idle 测量的是不发消息的成员；请去掉 { $argument }
bench-no-time = 时长必须大于零，例如 --secs 5
bench-no-server = 测试用的服务进程出错：{ $cause }

## 通讯录

book-bare-key = { $file }:{ $line }:{ $column }: 请给 { $name } 加上英文引号："{ $name }" = …
book-bare-value = { $file }:{ $line }:{ $column }: 请给 { $value } 加上英文引号："{ $value }"
book-full-width-quotes = { $file }:{ $line }:{ $column }: 引号不对：请用英文引号 "
book-full-width-colon = { $file }:{ $line }:{ $column }: 全角冒号“：”不能用：名字和地址之间写 =，端口前写 :
book-full-width-equals = { $file }:{ $line }:{ $column }: 全角等号“＝”不能用：请写 =
book-full-width-space = { $file }:{ $line }:{ $column }: 全角空格不能用：请用普通空格
book-full-width-mark = { $file }:{ $line }:{ $column }: 这里不能用“{ $found }”：请写 { $wanted }
book-colon = { $file }:{ $line }:{ $column }: 名字和地址之间请写 =，不是 :
book-unclosed-quote = { $file }:{ $line }:{ $column }: 引号没有结束：请在末尾补上 "
book-no-value = { $file }:{ $line }:{ $column }: { $name } 没有地址：请写 { $name } = "主机:端口"
book-syntax = { $file }:{ $line }:{ $column }: 不是有效的 TOML：{ $why }
book-address-empty = { $file }:{ $line }:{ $column }: 地址为空：请写“主机:端口”，例如 127.0.0.1:8081
book-address-no-port = { $file }:{ $line }:{ $column }: { $address } 没有端口：请写 "{ $address }:8081"
book-address-bad-port = { $file }:{ $line }:{ $column }: { $address } 的端口必须是 1 到 65535 之间的数字
book-address-bad-host = { $file }:{ $line }:{ $column }: { $address } 不是“主机:端口”的形式，例如 127.0.0.1:8081 或 chat.example.org:8081
book-address-no-brackets = { $file }:{ $line }:{ $column }: IPv6 地址要加方括号和端口：{ $fix }
book-address-url = { $file }:{ $line }:{ $column }: { $address } 不只是“主机:端口”：请去掉 http:// 和端口后面的内容
book-address-not-ascii = { $file }:{ $line }:{ $column }: { $address } 的主机名含有 ASCII 以外的字符：请写以 xn-- 开头的形式，或 IP 地址
book-unknown-key = { $file }:{ $line }:{ $column }: 未知的键 { $key }；此处可用：{ $known }
book-unknown-key-near = { $file }:{ $line }:{ $column }: 未知的键 { $key }，是不是 { $near }？
book-not-entry = { $file }:{ $line }:{ $column }: { $name } 应写成带引号的 "主机:端口"、中继的名字，或含 relay = "主机:端口" 的表
book-not-text = { $file }:{ $line }:{ $column }: { $key } 应是带引号的文字
book-not-table = { $file }:{ $line }:{ $column }: { $key } 应是表：请单独一行写 [{ $key }]
book-below-table = { $file }:{ $line }:{ $column }: { $key } 对整个文件有效：请移到文件开头，放在第一个 [ ] 之上
book-outside = { $file }:{ $line }:{ $column }: { $name } 不在 [contacts] 之下：请在它上面加一行 [contacts]
book-duplicate-name = { $file }:{ $line }:{ $column }: { $name } 已在第 { $first } 行定义：请改名或删去其中一个
book-duplicate-key = { $file }:{ $line }:{ $column }: { $key } 重复：请删去其中一个
book-tcp-conflict = { $file }:{ $line }:{ $column }: 第 { $first } 行中 { $relay } 的 TCP 地址是 { $tcp }：请保持一致
book-key-conflict = { $file }:{ $line }:{ $column }: 第 { $first } 行中 { $relay } 的中继密钥是 { $key }：请保留管理员确认的那一个
book-other-relay-key = { $file } 中 { $relay } 的中继密钥是 { $key }，而不是 { $offered }；未作任何改动。若管理员确认后者，请运行：queqiao trust { $relay } { $offered }
book-bad-fingerprint = { $file }:{ $line }:{ $column }: 不是密钥指纹：指纹由四组字符组成，每组五个（a-z、2-7），如中继所显示
book-contact-key = { $file }:{ $line }:{ $column }: 联系人的 key 目前不会核对，不能填写：请删去（中继的密钥是 relay_key）
book-not-relay = { $file }:{ $line }:{ $column }: { $name } 应写成带引号的 "主机:端口"，或含 address = "主机:端口" 的表
book-no-relay-address = { $file }:{ $line }:{ $column }: { $name } 缺少 address = "主机:端口"
book-unknown-relay = { $file }:{ $line }:{ $column }: { $name } 既不是“主机:端口”，也不是 [relays] 中的中继；其中有：{ $known }
book-unknown-relay-near = { $file }:{ $line }:{ $column }: [relays] 中没有 { $name }，是不是 { $near }？
book-dotted-name = { $file }:{ $line }:{ $column }: 带点的名字要加英文引号："{ $name }" = …
book-no-relay = { $file }:{ $line }:{ $column }: { $name } 缺少 relay = "主机:端口"
book-me-empty = { $file }:{ $line }:{ $column }: 你的名字是空的：请填写，或在行首加 #
book-me-reserved = { $file }:{ $line }:{ $column }: { $name } 是中继的保留名字：请换一个
book-name-empty = { $file }:{ $line }:{ $column }: 名字不能为空
book-name-too-long = { $file }:{ $line }:{ $column }: { $name }… 太长：最多 32 个字符、96 字节
book-name-space = { $file }:{ $line }:{ $column }: 名字“{ $name }”含有空格：请去掉
book-name-no-letter = { $file }:{ $line }:{ $column }: 名字 { $name } 至少要有一个字母、汉字或数字
book-name-bad-character = { $file }:{ $line }:{ $column }: 名字不能包含 { $character }：可用任何文字的字母、数字以及 . _ -
book-missing = 找不到通讯录文件 { $file }
book-unreadable = 无法读取 { $file }：{ $why }
book-unwritable = 无法写入 { $file }：{ $why }
book-of-other = { $file } 属于其他用户；请以该用户的身份修改
book-too-big = { $file } 超过 { $most } 字节：它是通讯录吗？
book-not-utf8 = { $file }:{ $line }: 不是 UTF-8 编码：请把文件另存为 UTF-8
book-edit-by-hand = 程序无法安全地修改 { $file }：请手动编辑
book-watch-failed = 无法监视 { $file }：{ $why }；修改在下次启动时生效
book-reloaded = { $file } 已重新加载
book-reload-failed = 继续使用原来的通讯录：{ $why }
contact-exists = { $name } 已在 { $file } 中
contact-unknown = 没有名为 { $name } 的联系人；可写成 名字@主机:端口，或添加：queqiao contacts add { $name } 主机:端口
contact-unknown-near = 没有名为 { $name } 的联系人，是不是 { $near }？
contact-book-empty = 没有名为 { $name } 的联系人：通讯录是空的；请添加：queqiao contacts add { $name } 主机:端口
contact-needs-name = { $address } 是中继：请加上名字，即 名字@{ $address }
contact-full-width-at = { $name } 中有全角“＠”：请用 @
name-space = 名字不能含有空格
name-no-letter = 名字至少要有一个字母、汉字或数字

## 文件与目录

relay-busy = 另一个中继（进程 { $pid }）正在使用 { $folder }；请先停止它，或用 --data 指定其他目录
member-busy = { $name } 已在本机运行（进程 { $pid }），但该进程没有响应
member-carriers = 进程 { $pid } 已登录，UDP 或 TCP 由它选择；--tcp 和 --udp 在此无效
member-no-door = 你的其他命令无法共用本进程的会话：{ $cause }
backup-made = { $file } 包含 { $until } 之前接收的全部消息，以及中继的私钥：请像保管中继的数据目录一样保管它
backup-exists = { $file } 已存在；请换一个文件名
backup-no-folder = { $file } 所在的目录不存在；请创建它，或换一个文件名
backup-denied = 正在运行的中继无权写入 { $file }（{ $cause }）；请指定其用户可写的目录中的文件，例如它的数据目录
backup-missing = { $file } 中没有备份
backup-not-one = { $file } 不是中继的备份；请用 queqiao relay backup FILE 创建
backup-elsewhere = 中继已写入 { $file }，但这里看到的不是它写的文件：它看到的目录与本命令不同；请指定中继数据目录中的文件
backup-busy = 另一个备份正在进行，或中继十分繁忙；请稍后再试
backup-stopped = { $file } 尚未完成，中继就停止了；没有留下任何内容
backup-not-here = 只有带数据目录的中继才能备份，{ $file } 不行
backup-silent = 中继（进程 { $pid }）没有响应；请检查它是否已被暂停，然后重试
restore-not-empty = { $folder } 不是空目录；请恢复到空目录或新目录
restore-done = 中继已恢复到 { $folder }；{ $since } 之后接收的消息已丢失。启动它：queqiao relay --data { $folder }；备份所来自的中继不能再运行
relay-restored = 本中继是从备份恢复的：{ $since } 之后接收的消息已丢失。发件人下次连接时会得到通知，并重新发送他们仍有的消息；此后注册的名字、创建的邀请和移除的成员都恢复到了备份时的状态
member-unreachable = { $name } 已在本机运行，但其他命令无法连接它：{ $cause }
socket-failed = { $file }：{ $cause }
socket-not-folder = { $folder } 应为存放套接字的目录；请删除它，或把 XDG_RUNTIME_DIR 设为你自己的目录
socket-of-other-user = 它以另一用户（用户 ID { $uid }）的身份运行；请以该用户的身份执行本命令
socket-folder-foreign = 存放套接字的目录 { $folder } 属于另一用户（用户 ID { $uid }）；请删除它，或把 XDG_RUNTIME_DIR 设为你自己的目录
socket-folder-open = 其他用户可以进入存放套接字的目录 { $folder }（权限 { $mode }）；请运行：chmod 700 { $folder }
store-key-open = { $file } 是私钥，但其他用户也能访问（权限 { $mode }）；请运行：chmod 600 { $file }
store-key-damaged = { $file } 中的密钥已损坏；请从备份恢复该文件
store-key-missing = { $file } 不存在，但同一身份的其他文件还在；请从备份恢复，或在空目录中重新开始
store-counter-damaged = { $file } 已损坏；请删除它，程序会重新生成
store-database-missing = { $file } 不存在或为空，但中继的密钥还在；请从备份恢复，或在空目录中重新开始
store-not-database = { $file } 不是鹊桥的数据库；请移走它，或用 --data 指定其他目录
store-database-damaged = { $file } 已损坏（{ $cause }）；请从备份恢复
letter-damaged = { $file }：发给 { $to }（中继 { $relay }）的第 { $number } 条消息已损坏，不会发送
store-letter-damaged = { $file }：{ $from } 发给 { $to } 的一条消息已损坏（第 { $row } 行）；它保留在文件中，不会投递，并会通知 { $from }
store-letter-damaged-nameless = { $file }：发给 { $to } 的一条消息已损坏（第 { $row } 行）；它保留在文件中，不会投递，发件人不明
store-commits-missing = { $file } 丢失了消息：{ $known } 次提交只剩 { $found } 次，说明它或它的日志（-wal）已损坏、丢失、是旧副本，或是在中继运行时复制的（应使用 queqiao relay backup）；请从备份恢复它的全部文件，或删除 { $beside }，放弃这些消息并继续
store-commits-damaged = { $file } 已损坏；如果旁边的数据库完好，请删除此文件
store-newer = { $file } 由更新版本的鹊桥创建（格式 { $version }）；未作任何改动；请使用该版本
store-older = { $file } 由旧版本的鹊桥创建（格式 { $version }），本版本无法读取；未作任何改动
store-disk-full = 磁盘空间不足，无法写入 { $file }；请释放空间
store-read-only = 无法写入 { $file }：它在只读文件系统上
store-no-files = 无法打开 { $file }：本进程不能再打开更多文件；请提高上限（ulimit -n）
store-link = { $file } 是符号链接，私密文件不经链接打开；请把文件本身放在那里
store-folder-open = 其他人可以写入 { $folder }（权限 { $mode }）；请运行：chmod go-w { $folder }
store-not-permitted = 没有权限访问 { $file }：{ $cause }
store-not-folder = { $file } 是文件，而这里需要目录；请用 --data 指定其他目录
store-io = 无法读写 { $file }：{ $cause }
store-no-home = 找不到主目录；请用 --data 指定目录
store-no-thread = 系统无法再创建线程：{ $cause }
pins-damaged = { $file } 第 { $line } 行：{ $cause }；请改正或删除这一行
reach-damaged = { $file } 已损坏（{ $cause }）；请删除它并启动中继，中继会重新生成它

## 网络

port-in-use = { $addr } 已被占用（{ $carrier }）；请换一个端口，或停止占用它的程序
cannot-bind = 无法监听 { $addr }（{ $carrier }）：{ $cause }
bind-no-address = 主机 { $host } 没有可监听的地址：{ $cause }
bind-not-here = 本机没有 { $host } 的地址 { $addr }；请监听本机自己的地址，或用 ":端口" 监听全部地址
bind-skipped = 未监听 { $addr }：本机没有这个地址
bind-too-many = { $host } 在本机有 { $count } 个地址；请监听其中一个，或用 ":端口" 监听全部地址
cannot-start = 无法启动事件循环：{ $cause }
letter-unreadable = 来自 { $who } 的一条消息（{ $id }）是本版本无法显示的类型，已退回给 { $who }；请更新鹊桥

## 命令（续）

send-too-long = 未发送：内容有 { $len } 字节，一条消息最多 { $max } 字节
send-input-too-long = 未发送：标准输入超过 { $max } 字节，即一条消息的上限
output-failed = 无法写入标准输出：{ $cause }
output-disk = 磁盘已满，无法写标准输出：{ $cause }
argument-not-utf8 = 这个参数不是 UTF-8：{ $argument }；请转换（iconv -t UTF-8），或在 UTF-8 终端里输入
variable-not-utf8 = { $variable } 不是 UTF-8
variable-not-flag = { $variable }={ $value }：请写 1 或 0（也可写 true、false、yes、no）
option-from-variable = { $option } 由 { $variable } 设置
book-no-relays = { $file } 中没有联系人；请添加：queqiao contacts add 名字 主机:端口，或凭邀请加入中继：queqiao join
book-good = { $file } 中有 { $count } 个联系人，没有错误
contact-added = 已将 { $name } 加入 { $file }
contact-unreachable = { $name } 的地址 { $relay } 连不到任何中继：它不是某一台机器的地址
contact-word = { $name } 用于结束聊天，因此聊天时无法选择该联系人：请换一个名字，并写 member = "{ $name }"
contact-alike = { $name } 与你的联系人 { $other } 相似
contact-removed = 已从 { $file } 删除 { $name }
fingerprint-bad = 不是密钥指纹：指纹由四组字符组成，每组五个（a-z、2-7）
trust-book = { $file } 中 { $relay } 的中继密钥已改为 { $key }
trust-differs = { $relay } 的密钥是 { $key }，与给出的不同；未作任何改动
trust-changed = 若 { $relay } 的管理员确认新密钥，请运行：queqiao trust { $relay } { $offered }

## 命令行帮助

help = 自建即时通信：一个中继、多个终端客户端，优先 UDP，必要时用 TCP
help--lang = 语言：en（英文）或 zh（中文）[默认：跟随系统语言] [环境变量：QUEQIAO_LANG]
help--contacts = 通讯录文件 [默认：./contacts.toml，其次为配置目录中的 contacts.toml]
help--name = 你的名字 [默认：通讯录 [me] 下的 name]
help--data = 存放密钥、已保存的中继密钥和消息的目录
help--tcp = 只用 TCP
help--udp = 只用 UDP
help-relay = 启动中继
help-relay-backup = 把中继复制到一个文件中，中继运行与否均可
help-relay-backup--file = 新文件；正在运行的中继必须能写入该处
help-relay-restore = 由备份恢复中继，放入空目录（--data 目录）
help-relay-restore--file = 备份文件
help-relay--bind = UDP 监听地址："IP:端口"、主机:端口、端口（127.0.0.1）或 ":端口"（全部地址）；端口 0 表示任选空闲端口
help-relay--tcp = 同时监听 TCP；不写地址则与 UDP 相同
help-relay--address = 成员连接本中继所用的 主机:端口，用于显示的通讯录行和邀请 [默认：本机的地址]
help-relay--data = 存放中继密钥、成员和信箱的目录
help-relay--limits = off 解除对发件人的限制；仅用于本机性能测试
help-relay--keep = 消息为收件人保留多久（只计中继运行的时间）
help-relay--mailbox-letters = 为一位成员最多保留的消息数
help-relay--mailbox-bytes = 为一位成员保留的消息的总大小上限
help-relay--pair-letters = 为一位成员最多保留的同一发件人的消息数
help-relay--pair-bytes = 为一位成员保留的同一发件人消息的总大小上限
help-relay--guests = 接待使用纯文本的访客，消息交给指定成员（echo 则以大写回显）
help-relay--guest-encoding = 访客的编码；auto 对每位访客自动识别 UTF-8 或 GBK
help-relay--guest-greeting = TCP 访客的欢迎语，最多 1,024 字节
help-relay--guest-limit = 同时接待的访客数上限（UDP 访客至多占一半）
help-relay--guest-anyone = 允许访客以“@名字 ”开头，写给任何成员
help-relay--all-mailboxes-bytes = 所有信箱的总大小上限
help-relay--sender-bytes = 为所有成员保留的同一发件人消息的总大小上限，且不超过 --all-mailboxes-bytes 的十六分之一
help-relay--memory-bytes = 尚未写入磁盘的消息的总大小上限
help-relay--letters-per-second = 每位成员每秒的消息数（长期平均）
help-relay--letters-burst = 每位成员停顿之后一次可发的消息数
help-relay--control-per-second = 每位成员每秒的控制消息数（长期平均，不计送达和已读回执）
help-relay--control-burst = 每位成员停顿之后一次可发的控制消息数
help-relay--names-per-hour = 每个地址每小时可注册的新名字数（本机除外）；0 表示不接受
help-relay--all-names-per-hour = 每小时可注册的新名字总数（只对其他机器能连到的中继）；其中一半留给当天尚未注册过名字的网络
help-relay--members-max = 名字总数上限；达到后只有受邀者能注册
help-relay--sessions = 同时的会话总数上限
help-relay--stranger-sessions = 同时的未登录会话数上限
help-relay--reassembly-bytes = 所有会话中乱序到达而暂存的数据的总大小上限
help-relay--connections = 同时的 TCP 连接总数上限
help-relay--connections-per-address = 每个地址同时的 TCP 连接数上限（本机除外）
help-relay--pair-rate = 突发之后，一位成员每秒从同一发件人收到的最大字节数；其余的稍后发送
help-relay--pair-burst = 一位成员一次可从同一发件人收到的最大字节数
help-chat = 与联系人聊天
help-chat--contact = 启动后直接与谁聊天
help-chat--line = 行模式（在终端中也逐行显示）
help-chat--color = 颜色：auto 自动，always 总是，never 从不
help-send = 发送一条消息并报告结果
help-send--contact = 联系人，或 名字@主机:端口；通讯录中只有一个中继时可写任意名字
help-send--text = 消息内容；- 表示从标准输入读取一条消息
help-send--lines = 将标准输入的每一行作为一条消息发送
help-send--timeout = 超过此时间没有进展就不再等待；未被接收的消息下次运行时发送
help-send--wait = 等待到哪种状态
help-send--reply = 然后等待对方回复，最多等这么久，并显示第一条
help-listen = 显示收到的消息
help-listen--json = 每行输出一个 JSON 对象
help-listen--count = 收到这么多条后退出
help-listen--time = 经过这么长时间后退出
help-history = 显示聊天记录（从旧到新），或将其删除
help-history--contact = 只看与谁的记录 [默认：所有人]
help-history--json = 每行输出一个 JSON 对象
help-history--last = 只显示最后 N 条
help-history--forget = 删除聊天记录而不显示；发件箱中的消息和尚未看过的消息会保留
help-history--older = 只删除比这更早的消息，例如 90d
help-history--yes = 不再询问，全部删除
help-ping = 测量到中继的往返时间和丢包率（UDP 与 TCP）
help-ping--target = 联系人或 主机:端口 [默认：通讯录中的每个中继]
help-ping--count = UDP 和 TCP 各发送多少个探测包
help-bench = 对中继做压力测试（测试用的名字会留在中继上）
help-bench--relay = 中继的 主机:端口，须带 --limits off 启动 [默认：127.0.0.1:8081]
help-bench--pairs = 成员对数，每对一人写给另一人 [默认：4]
help-bench--window = 每对成员同时未确认的消息数 [默认：64]
help-bench--size = 每条消息正文的字节数，至少 16
help-bench--secs = 测量时长（之前预热一秒）
help-bench--rate = 每秒总共发送的消息数，间隔均匀；延迟从计划发送的时刻算起
help-bench--answer = 对每条消息都回复一条；两条都计数
help-bench--bare = 启动一个中继和一个只转发数据报的循环，各用一个处理器，比较两者每条消息的 CPU 时间（Linux）
help-bench--as-server = 内部使用：作为测试用的服务进程运行，直到标准输入结束
help-bench--tcp = 用 TCP 代替 UDP
help-bench--flood = 另外每秒发送多少个随机数据报（仅限本机回环地址上的中继）
help-bench--idle = 不发消息，测量这么多空闲成员（各用一个地址）给中继带来的开销；加上 --bare 时还测量转发循环处理同样多保活包的开销
help-bench--relay-pid = 中继的进程号，用于测量每条消息的 CPU 时间和内存（Linux）
help-bench--json = 输出一个 JSON 对象
help-contacts = 查看或修改通讯录
help-contacts-list = 列出联系人
help-contacts-add = 添加联系人
help-contacts-add--name = 你给对方的备注名
help-contacts-add--relay = 对方所在的中继：主机:端口，或它在通讯录中的名字
help-contacts-add--relay-key = 中继密钥的指纹
help-contacts-add--member = 对方在中继上的名字（如果不同）
help-contacts-add--note = 备注
help-contacts-add--group = 分组
help-contacts-add--tcp-addr = 中继的 TCP 地址（如果不同）
help-contacts-remove = 删除联系人
help-contacts-remove--name = 要删除的联系人
help-contacts-check = 检查通讯录是否有错误
help-trust = 查看、信任或更换已保存的中继密钥
help-trust--relay = 主机:端口、通讯录中的中继，或该中继上的联系人
help-trust--fingerprint = 经管理员确认的指纹
send-lines-no-reply = --reply 等待一条消息的回复，不能与 --lines 同时使用

## 命令行：clap 输出的文字

cli-usage = 用法：
cli-commands = 命令：
cli-arguments = 参数：
cli-options = 选项：
cli-options-placeholder = [选项]
cli-help = 显示本帮助
cli-version = 显示版本
cli-default = [默认：{ $value }]
cli-possible = [可选值：{ $values }]
cli-env = [环境变量：{ $name }]
cli-more = 更多信息：{ $command } --help
cli-joint = ；
cli-full-stop = 。
cli-no-command = 未指定命令
cli-unknown-command = 未知命令 { $command }
cli-unknown-command-near = 未知命令 { $command }，是不是 { $near }？
cli-unknown-option = 未知选项 { $argument }；要发送以 - 开头的文字，请在前面加 --
cli-unknown-option-near = 未知选项 { $argument }，是不是 { $near }？
cli-unknown-option-plain = 未知选项 { $argument }
cli-option-elsewhere = { $command } 不使用 { $argument }
cli-option-after-command = { $argument } 应写在命令之后
cli-needs-equals = 请写成 { $argument }={ $value }，值的前面要有 =
cli-missing = 缺少参数：{ $arguments }
cli-no-value = { $argument } 需要一个值
cli-invalid-value = { $argument } 的值 { $value } 无效：{ $why }
cli-invalid-choice = { $argument } 的值 { $value } 无效；可选值：{ $values }
cli-conflict = { $argument } 不能与 { $other } 同时使用
cli-twice = { $argument } 只能指定一次
cli-extra = 多余的参数 { $value }
cli-why-duration = 应为时长，例如 500ms、10s、2m、1h 或 30d
cli-why-duration-max = 最长 36500d
cli-why-duration-positive = 应大于 0，例如 10s、2m、1h 或 30d
cli-why-unit = 缺少单位，例如 { $value }s、{ $value }m、{ $value }h 或 { $value }d
cli-why-size = 应为大小，例如 512K、32M 或 1G
cli-why-number = 应为 { $min } 到 { $max } 之间的数字
cli-why-bind = 应为 主机:端口、端口 或 ":端口"，例如 127.0.0.1:8081、[::1]:8081，或 ":8081"（全部地址）
cli-why-greeting = 最多 1,024 字节
cli-why-language = en 或 zh
value-command = 命令
value-name = 名字
value-contact = 联系人
value-relay = 中继
value-text = 文字
value-file = 文件
value-dir = 目录
value-host-port = 主机:端口
value-duration = 时长
value-size = 大小
value-fingerprint = 指纹
value-code = 邀请码
value-invitation = 邀请
value-bytes = 字节数
value-seconds = 秒
value-pid = 进程号
history-cut = 以下是最后 { $count } 条消息；查看更多：--last N、--since 7d 或 --all
history-none = 没有消息
history-no-contact = 没有名为 { $name } 的联系人，也没有与该名字的消息
history-contact-several = 你与多位 { $name } 有消息往来：{ $names }；请指明其中一位
contact-none = { $file } 中没有联系人 { $name }
help-history--since = 只显示最近这段时间内的消息，例如 2d
help-history--all = 全部消息 [默认：终端中显示最后 50 条，否则全部]
help-contacts-list--json = 每行输出一个 JSON 对象
help-contacts-list--names = 只输出名字，每行一个
help-help = 显示命令的帮助
help-help--command = 命令 [默认：概览]
help-generate = 生成手册页，或 shell 的补全脚本
help-generate-man = 把每个命令的手册页写入目录
help-generate-man--dir = 存放手册页的目录，不存在则创建
help-generate-completions = 输出 shell 的补全脚本；联系人可按名字补全
help-generate-completions--shell = shell
generate-man = 已将 { $count } 个手册页写入 { $folder }；阅读：man -l { $folder }/queqiao.1
man-manual = 鹊桥手册
man-name = 名称
man-synopsis = 概要
man-description = 说明
man-options = 选项
man-commands = 命令
man-extra = 另请参阅
man-version = 版本


## 演示

demo-among = 你现在是 { $name }，中继就运行在本进程中；可以给 JACK、一棵树或武大郎发消息。/help 查看命令，Ctrl-D 退出。
demo-replies = 好的！|再多说点|听你的|鹊桥上见
demo-relay = 中继已就绪：{ $relay }（UDP 和 TCP）
demo-online = { $who } [{ $via }] 已上线
demo-sent = { $from } [{ $via }] 发给 { $to }：{ $text }（已送达 { $id }）
demo-came = { $who } [{ $via }] 收到 { $from } 的消息：{ $text }（{ $id }）
demo-cut = UDP 中断：{ $who } 发往中继的数据报全部丢失
demo-mended = UDP 恢复：{ $who } 的数据报又能到达中继
demo-moved = { $who } [{ $via }]：{ $what }
demo-left = { $who } 已下线
demo-waits = { $from } [{ $via }] 发给 { $to }：{ $text }（暂存在信箱 { $id }）
demo-done = 完成：{ $count } 条消息，全部送达，无重复、无乱序
demo-failed = 演示失败：{ $who } 等待超时
help-demo = 演示：在一个进程里运行中继和几位成员，你也在其中
help-demo--color = 颜色：auto 自动，always 总是，never 从不
demo-twice = 演示失败：{ $who } 重复收到一条消息

## 发件箱

send-not-kept = { $time } 秒内未能保存：磁盘或持有你的会话的进程没有响应；消息稍后仍可能发出
unkept-disk = 未发送：发给 { $who } 的消息无法写入磁盘
unkept-full = 未发送：发件箱中未送达的消息已达 { $count } 条或 256 MiB；请等 { $who } 等人收取一些之后再发
chat-waiting = 尚未送达 { $who }，暂存到 { $until }
chat-state-accepted = 给 { $who } 的“{ $text }”：中继已接收
chat-state-waiting = 给 { $who } 的“{ $text }”：暂存到 { $until }
chat-state-read = ✔✔ { $who } 已读：“{ $text }”

## 访客

desk-answer = 回复消息:{" "}
desk-incoming = 来自[{ $who }]的一条消息:{" "}
desk-no-input = 没有输入，因此这里无法回复；中继继续运行，直到被停止（SIGTERM）
desk-nobody-waits = 没有访客在等待回复。未发送：
desk-no-guests = 最近没有访客
desk-begins = 你是 { $name }，访客会在 { $relay } 给你发消息；输入 quit 停止中继
relay-guests-echo = 中继把访客的文字以大写字母回复给访客，不保存任何内容；按 Ctrl-C 停止中继
desk-begins-terminal = 你是 { $name }，访客会在 { $relay } 给你发消息；/help 查看命令，quit 停止中继
desk-guest = 访客 { $number }
desk-incoming-guest = 来自访客 { $number }（{ $address }）{ $time } 的一条消息：
desk-ask-left = { $before } 已离开；要把“{ $text }”改发给 { $who } 吗？再按回车发送；/to N 选择其他访客
desk-ask-new = 要把“{ $text }”发给 { $who } 吗？再按回车发送；/to N 选择其他访客
desk-left-not-sent = { $who } 已离开。未发送：
desk-gone = { $who } 已经离开
desk-refused-gone = 未送达：{ $who } 已离开
desk-no-such-guest = 没有访客 { $text }；输入 /who 查看访客
desk-help-title = 文字发给提示符中的访客。命令：
desk-quit-waits = { $who } 还在等待回复；/quit 停止中继
desk-help-quit-word = 返回等待最久的访客；没有访客等待时停止中继
desk-help-who = 列出访客
desk-help-to = 回复访客 N
desk-help-close = 结束与提示符中的访客的对话
desk-help-quit = 停止中继
chat-guest = 访客 { $who }，地址 { $address }，最近消息 { $heard }；未认证，未加密
chat-help-close = 结束与访客的对话
chat-close-no-guest = 未选择访客：请先选择一位
help-relay--desk = 在本窗口以该名字回复访客 [默认：DESK]；相当于同时指定 --guests
guest-told-away = { $name } 不在，你的消息已保存。
guest-told-nobody = 没有叫这个名字的用户。
guest-told-no-web = 这里不是网站：请用 nc 或 telnet 连接，直接输入文字。
guest-told-full = 你的消息暂时无法接收，请稍后再试。
guest-ended = [{ $who }] 已发送完毕，一分钟内仍可收到回复
guest-left = [{ $who }] 已离开
guest-closed = 你已结束与 [{ $who }] 的对话
chat-incoming-guest = 来自访客 { $who } [{ $via }] { $time } 的一条消息：
refused-guest-gone = 未送达：访客 { $who } 已离开
send-guest-confirms-nothing = 中继已交给访客；访客不发送回执，无法确认是否收到
relay-guests-unregistered = { $name } 尚未在此注册；在其首次登录之前，访客的消息无人接收

## 成员

name-closed = { $relay }：该中继仅限受邀；请向管理员索取邀请
name-kept = { $name } 在 { $relay } 已为受邀者保留；请用 --as 换一个名字
name-invited-other = 你在 { $relay } 的邀请是给 { $other } 的；请用 --as { $other }
name-removed = { $relay }：管理员已将你移除；请向管理员索取新的邀请
invite-bad = 不是有效的邀请码：邀请码由 26 个字母和数字组成
invite-empty = 没有收到邀请：邀请是以 queqiao: 开头的一行
invite-not-one = 不是邀请：{ $text } 不是以 queqiao: 开头
invite-space = 邀请在“{ $text }”之后有空格或换行：它应是不含空格的一行
invite-unknown-field = 邀请中有未知的字段 { $field }；可用的字段：{ $known }
invite-twice = 邀请中的字段 { $field } 出现了两次
invite-lacks = 邀请不完整：缺少 { $field }=…；请复制完整的一行
invite-bad-key = 邀请中的 { $key } 不是密钥指纹：指纹由四组字符组成，每组五个（a-z、2-7）
invite-bad-tcp = 邀请中的 tcp={ $tcp } 不是端口：应为 1 到 65535 的数字
invite-bad-name = 邀请中的 { $name } 不是百分号编码的名字
join-ask = 邀请（以 queqiao: 开头的一行，不会显示）：
join-on-command-line = 命令行中的邀请可被本机其他用户看到；下次请运行 queqiao join 后再粘贴
join-used = { $relay }：该邀请已被使用、已过期或已撤销；请向管理员索取新的邀请
join-silent = { $time } 秒内未能在 { $relay } 登录；未作任何改动；请用同一行再次运行 queqiao join
join-not-written = { $name } 已在 { $relay } 注册，但无法修改通讯录；请将 { $line } 写入 [relays] 之下：{ $why }
join-done = { $name } 已在 { $relay } 登录，密钥 { $key } 与邀请一致；该中继已写入 { $file }，名为 { $relay_name }
join-next = 接下来：queqiao chat{ $as }，或 queqiao send{ $as } 名字{ $at } "你好"
members-no-address = 尚不知道成员如何连接 { $folder } 的中继，因为它还没有运行过；请启动它，或用 --address 主机:端口 指定
members-loopback = { $relay } 只能从本机连接；要让其他机器上的成员使用，请用 --bind { $bind } 启动中继，或用 --address 主机:端口 指定
members-other-addresses = 该中继还有地址 { $addresses }；要改用其中一个，或改用主机名，请用 --address 主机:端口 指定
help-members-invite--address = 成员连接中继所用的 主机:端口 [默认：中继上次启动时的地址]
help-join = 凭邀请加入中继：从终端或标准输入读取邀请，核对密钥，登录
help-join--invitation = 邀请；最好在提示时粘贴，因为本机其他用户能看到命令行参数
members-invited = 给 { $who } 的邀请（仅可使用一次，有效期至 { $until }）；请 { $who } 运行 queqiao join，然后粘贴这一行：
members-invited-anybody = 不限名字的邀请（仅可使用一次，有效期至 { $until }）；请新成员运行 queqiao join，然后粘贴这一行：
members-invited-again = 先前已邀请过 { $name }：原来的邀请不再有效
members-removed = 已移除 { $name }；这个名字会一直保留，直到你邀请别人使用它
members-none = 没有成员，也没有邀请
members-no-relay = { $folder } 不是中继的数据目录；请用 --data 指定
members-unknown = { $folder } 的中继没有成员 { $name }；可用 queqiao members list 查看成员
members-taken = { $name } 已经是成员；请换一个名字，或先移除那位成员
members-confusable = { $name } 与成员 { $other } 过于相似；请换一个名字，或在中继以 --closed 运行时邀请它
members-alike = { $name } 与成员 { $other } 相似；此邀请仅限 { $name } 这个名字
members-reserved = { $name } 是中继的保留名字；请换一个
members-full = 已有 { $count } 个未使用的邀请；请等其中一些过期
members-disk = 无法保存：{ $folder } 的磁盘出错或已满
members-silent = 中继（进程 { $pid }）没有响应；请求稍后仍可能执行，请用 queqiao members list 查看
help-relay--loopback-too = 像限制其他网络那样限制来自本机回环地址的握手；用于性能测试
help-relay--closed = 仅凭邀请注册新名字（queqiao members invite）
help--invite = 邀请码，用于仅限受邀的中继
help-members = 管理中继成员（由管理员在中继所在的机器上运行）
help-members--data = 中继的数据目录
help-members-list = 列出成员和未使用的邀请
help-members-list--json = 每行输出一个 JSON 对象
help-members-invite = 创建邀请：一行文字，由新成员交给 queqiao join
help-members-invite--name = 为新成员保留的名字 [默认：任何未注册的名字]
help-members-invite--time = 邀请的有效期
help-members-remove = 移除成员：结束其会话，并将等待中的消息退回发件人
help-members-remove--name = 要移除的成员

## 屏蔽

chat-incoming-stranger = 来自 { $who }（不在通讯录中）[{ $via }] { $time } 的一条消息：
chat-looks-like = 注意：{ $relay } 的 { $who } 不是你的联系人 { $contact }，只是名字相似
chat-help-block = 屏蔽某人
chat-help-unblock = 取消屏蔽
contact-blocked = 已在 { $file } 中屏蔽 { $name }：{ $name } 的消息会被拒收
contact-unblocked = 已在 { $file } 中取消屏蔽 { $name }
book-not-switch = { $file }:{ $line }:{ $column }: { $key } 只能是 true 或 false，不加引号
help-contacts-block = 屏蔽联系人
help-contacts-block--name = 联系人，或 名字@主机:端口（会加入通讯录）
help-contacts-unblock = 取消屏蔽联系人
help-contacts-unblock--name = 联系人
help--contacts-only = 只接收联系人的消息；在通讯录中写上 contacts_only = true 则始终如此

## 终端中的行模式

chat-prompt = 发给 { $who }：
chat-to = 发给 { $who }
chat-to-at = 发给 { $who }（{ $address }）
chat-own = 发给 { $who } { $time }：
history-own = 发给 { $who } [{ $state }] { $time }：
history-queued = 待发送
history-accepted = 中继已接收
history-waiting = 暂存至 { $until }
history-delivered = 已送达
history-read = 已读
history-damaged = 已损坏
history-old-copy = 被拒：数据目录是旧副本；可能已送达
chat-day = ── { $day } ──
chat-which = { $name } 是哪一位？{ $names }
chat-ask-name = 要把“{ $text }”发给 { $who } 吗？再按回车发送；输入“/to { $text }”则改为与其聊天
chat-ask-lines = 要把这 { $count } 行作为一条消息发给 { $who } 吗？再按回车发送
chat-not-sent = 未发送：“{ $text }”；按向上键可取回
chat-new = ── 新消息 ──
chat-start = 你是 { $me }；中继：{ $addresses }
chat-start-alone = 你是 { $me }
chat-start-help = 输入名字即可聊天；/help 查看命令；quit 退出
chat-start-help-to = /help 查看命令；quit 改选其他联系人
chat-demo-book = 演示的通讯录不能修改
chat-start-empty = 通讯录是空的。添加联系人：queqiao contacts add 名字 主机:端口；或接受邀请：queqiao join
chat-name-new = { $who }（{ $count } 条新消息）
chat-unread = 未读：{ $names }
chat-no-unread = 没有未读消息
chat-no-recipient = 未选择联系人；请先选择：/to 联系人
chat-already-contact = { $who } 已在通讯录中
chat-target-blocked = 你屏蔽了 { $who }：在 /unblock { $who } 之前，对方的回复会被拒收
chat-target-left = { $who } 已不在通讯录中
path-tcp-refused = { $relay } 不接受 TCP，继续使用 UDP；须由管理员带 --tcp 启动
path-tcp-silent = { $relay } 没有响应 TCP，继续使用 UDP
chat-status-contacts = 联系人：{ $names }
chat-status-nothing-waits = 没有待发送或暂存的消息
chat-start-unsent = 尚未发出：{ $names }
chat-status-unsent = 待发送：{ $names }
chat-status-kept = 暂存在中继：{ $names }
chat-name-count = { $who }（{ $count }）
chat-name-blocked = { $who }（已屏蔽）
chat-status-other-key = { $relay }：密钥与预期的不同，不向它发送任何内容
chat-quit-waits = 还有 { $count } 条消息未发出，最多再等 { $seconds } 秒；按 Ctrl-C 立即退出，消息留在发件箱
chat-kept = 未发送：“{ $text }”；请先选择联系人（{ $names }），再按向上键取回
chat-kept-alone = 未发送：“{ $text }”；请先选择联系人，再按向上键取回
chat-recalled = 按向上键可取回“{ $text }”
chat-reply-which = { $who } 也刚发来消息；请用 /to 选择：{ $names }
chat-unknown = 通讯录中没有“{ $name }”；给通讯录以外的成员写消息，请写上中继：{ $names }
chat-unknown-near = 通讯录中没有“{ $name }”，是不是 { $near }？给通讯录以外的成员写消息，请写上中继：{ $names }
date-short = { $count } 月 { $day } 日
chat-relay-of = { $names } 的中继（{ $relay }）
chat-help-reply = 回复最新的未读消息
chat-help-unread = 列出未读消息的发件人
chat-help-history = 显示与当前联系人的最近消息
chat-help-add = 把发来消息的人加入通讯录
chat-left-outbox = 有 { $count } 条消息尚未发送，已存入发件箱，下次运行时自动发送
name-save = 把 { $name } 作为你的名字写入 { $file } 吗？[y/N]{" "}
name-saved = 已写入 { $file }：你的名字是 { $name }

## 系统错误，按编号（Linux）

os-error-lookup = 查不到它的地址
os-error-1 = 不允许的操作
os-error-2 = 没有这个文件或目录
os-error-4 = 系统调用被中断
os-error-5 = 读写错误
os-error-11 = 资源暂时不可用
os-error-12 = 内存不足
os-error-13 = 没有权限
os-error-16 = 设备或资源正忙
os-error-17 = 文件已存在
os-error-18 = 不在同一文件系统
os-error-20 = 不是目录
os-error-21 = 是一个目录
os-error-22 = 参数无效
os-error-23 = 系统打开的文件过多
os-error-24 = 打开的文件过多
os-error-26 = 文件正在使用
os-error-27 = 文件过大
os-error-28 = 磁盘已满
os-error-30 = 文件系统只读
os-error-32 = 管道已关闭
os-error-36 = 文件名过长
os-error-40 = 符号链接层数过多
os-error-97 = 不支持这种地址
os-error-98 = 地址已被占用
os-error-99 = 地址不属于本机
os-error-101 = 网络不可达
os-error-104 = 连接被对方重置
os-error-110 = 连接超时
os-error-111 = 连接被拒绝
os-error-113 = 没有到达该主机的路由
os-error-122 = 磁盘配额已满
