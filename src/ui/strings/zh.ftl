# 给人看的句子,中文。键与参数同 en.ftl,由测试保证。
# `count` 是数;其余参数都是文本,且已无害化。

## 行模式

chat-choose = 请选择聊天对象:{" "}
chat-write = 请输入消息,回车发送:{" "}
chat-incoming = 来自 { $who } [{ $via }] { $time } 的一条消息:{" "}
chat-missing = 此处缺 { $count } 条消息
chat-contacts = 联系人: { $names }
chat-no-contacts = 通讯录里没有联系人;添加: queqiao contacts add NAME HOST:PORT
chat-any-name = 还没有联系人；可直接输入 { $relay } 上的任何名字，或添加：queqiao contacts add 名字 { $relay }
chat-no-such-command = 未发送: 没有命令 { $command };/help 列出全部命令。要发送以 / 开头的文字,请写 //
chat-command-usage = 未发送: 用法是 { $usage }
chat-slashguard = 未发送: 看起来是命令,但前面多了东西。命令是 { $command };要发送以 / 开头的文字,请写 //
chat-too-long = 未发送: 这段文字有 { $len } 字节,一条消息最多 { $max } 字节。原文如下:
chat-text-back = 您的原文:
chat-receipts-on = 显示送达回执
chat-receipts-off = 不显示送达回执
chat-receipt = ✓ { $who } 已收到“{ $text }”
chat-not-accepted-yet = { $count ->
    [1] 中继尚未接收您给 { $who } 的消息:“{ $text }”
   *[other] 中继尚未接收您给 { $who } 的 { $count } 条消息
}
chat-not-delivered-yet = { $count ->
    [1] { $who } 尚未收到您的消息:“{ $text }”
   *[other] { $who } 尚未收到您的 { $count } 条消息
}
chat-delivered-late = 您写给 { $who } 的消息现已全部送达
chat-left-unsent = 有 { $count } 条消息未被中继及时接收;它们留在发件箱里,下次运行时发出
chat-status-online = { $relay }: 已连接,走 { $via }
chat-status-connecting = { $relay }: 正在连接
chat-status-lost = { $relay }: 连接已断,正在重连
chat-status-unreached = { $relay }: 连不上,仍在尝试
chat-status-stopped = { $relay }: 已停止,它不接受这个名字
chat-help-title = 可以输入:
chat-help-line = { $usage }  { $meaning }
chat-help-quit-word = 回到选择聊天对象;在那里则结束
chat-help-slashes = 发送以 / 开头的文字
chat-help-help = 显示本列表
chat-help-who = 列出联系人
chat-help-to = 换一个聊天对象
chat-help-status = 显示各中继的连接情况
chat-help-path = 只走 UDP、只走 TCP,或自动选择
chat-path-udp = 只走 UDP
chat-path-tcp = 只走 TCP
chat-path-auto = UDP 通则走 UDP,不通则走 TCP
chat-help-receipts = 是否显示每条消息的送达回执
chat-help-quit = 结束

## 输入

input-not-utf8 = 未发送: 这一行不是 UTF-8
input-dropped = 不是 UTF-8，已略去；其余文字保留
input-set-locale = not UTF-8, so left out. Set your terminal to UTF-8, then run: export LC_ALL=C.UTF-8 ({ $locale } now)
input-too-long = 未发送: 这一行超过 { $max } 字节
input-failed = 无法读取标准输入: { $cause }

## 被拒的消息

refused-unknown = 未送达：{ $who } 从未在 { $relay } 登录过，或已被移除
refused-unknown-there = 未送达：中继上没有成员 { $who }
refused-full = 未送达: { $who } 的信箱已满,或 { $who } 不再保存通讯录以外的人的消息
refused-too-long = 未送达: 消息超过中继允许的长度
refused-blocked = 未送达: { $who } 不接收您的消息
refused-expired = 未送达: { $who } 没有在期限内来取
refused-behind = 未送达: 它前面的一条消息被拒
refused-old-copy = 未送达: 您的数据文件夹是旧副本;请重新发送
refused-damaged = 未送达: 磁盘损坏了这封信;请重新发送
refused-unsupported = 未送达: { $who } 的程序无法显示这种类型的消息
refused-other = 未送达: { $who };原因编号 { $code },本版本不认识;请更新鹊桥
refused-may-have-arrived = 但也可能已经送到
refused-nearest = 名字相近的成员: { $names }

## 中继连得上与否

relay-silent = { $relay } 没有中继应答;启动一个: queqiao relay --tcp
relays-silent = { $relay } 及另外 { $count } 处没有中继应答;启动一个: queqiao relay --tcp
relay-no-tcp = { $relay } 没有 TCP 监听;启动中继时请加 --tcp
relay-no-host = 找不到 { $relay } 的主机地址;请检查通讯录里的写法
relay-no-name-server = 域名服务器没有响应，无法查到 { $relay } 的主机；请检查本机网络，或改用 IP 地址
relay-no-route = 没有通往 { $relay } 的路由；请检查地址和本机网络
ping-one-carrier = { $relay } 只在 UDP 和 TCP 之一上有响应；防火墙可能丢弃了另一个
relay-not-permitted = 本机的防火墙或规则禁止向 { $relay } 发送
relay-too-big = 通往 { $relay } 的网络不能传送 1,200 字节的 UDP 数据包；请把 MTU 提高到 1,280，或使用 TCP（启动中继时加 --tcp）
relay-no-room = 系统没有可用的套接字来连接 { $relay }；请提高打开文件数的上限（ulimit -n）
relays-unreached = 无法连接 { $relay } 及另外 { $count } 处；请检查本机网络
relay-name-not-written = { $relay } 的中继暂时无法登记新名字;会继续尝试
relay-refused = { $relay } 的中继有应答,但无法证明它的密钥,或不接受我们的密钥
relay-key-changed = { $relay } 的中继出示的密钥与记下的({ $pinned })不同: 不向它发送任何内容。若其管理员确认新密钥: queqiao trust { $relay } { $offered }
relay-key-unlike-book = { $relay } 的中继出示的密钥是 { $offered }，而应有的是 { $wanted }：不会向它发送任何内容。若其管理员确认所出示的密钥，请运行：queqiao trust { $relay } { $offered }
relay-key-unlike-pin = { $relay } 的中继应有的密钥 { $wanted } 与已保存的 { $pinned } 不同：不会向它发送任何内容。若其管理员确认应有的密钥，请运行：queqiao trust { $relay } { $wanted }
relay-pinned = 首次连接 { $relay } 的中继: 已记下其密钥 { $key };请向其管理员核对
relay-lost = 与 { $relay } 的连接已断;正在重连
relay-online = 已连接 { $relay },走 { $via }
relay-online-again = 已重新连接 { $relay },走 { $via }
relay-moved-silent = { $relay }: UDP 没有回应,改走 TCP
relay-moved-poor = { $relay }: UDP 丢包太多,改走 TCP
relay-moved-proved = { $relay }: UDP 已通,改走 UDP
relay-moved-broken = { $relay }: TCP 连接断开,改走 UDP
relay-moved-asked = { $relay }: 按您的要求改走 { $via }
notice-at = { $time }  { $what }
history-forget-alone = --json 和 --last 用于打印,--forget 用于删除:请只用其一
history-needs-forget = --older 和 --yes 要与 --forget 一起使用
history-forget-all = 这将删除与所有人的全部聊天记录;请指定联系人或时间(--older 90d),或加上 --yes
history-forget-ask = 要删除与所有人的全部 { $count } 条消息吗?(y/N){" "}
history-forget-not = 没有删除任何内容
history-waiting-stay = { $count } 条尚在途中的消息保留
history-unseen-stay = { $count } 条您尚未看到的消息保留;queqiao listen 可显示它们
history-in-use = 已从聊天记录中删除,但另一个进程仍在读取 { $file } 的旧内容;请在它结束后再运行一次
strangers-full = 通讯录以外的人发来的消息已占 { $size } MiB:更多的将被拒收;queqiao history --forget 可腾出空间,queqiao contacts add 也可以
relay-replaced = 另一台机器用您的密钥登录了 { $relay },或本机经同一中继的另一地址登录了;此处的会话已停止
outbox-lost = { $count ->
   *[other] { $relay } 的中继是从备份恢复的：它已接收的 { $count } 条给 { $who } 的消息可能没有送达；现在重新发送，不会重复显示
}
outbox-old-copy = 本数据文件夹是旧副本:其另一副本此后已在 { $relay } 使用过。此后所写照常发出;等待中的消息退回,可能已送达

## 名字

name-taken = { $name } 在 { $relay } 已被占用: 属于另一把密钥;请用 --as 换个名字
name-confusable = { $name } 与 { $relay } 上已有的 { $other } 太像;请用 --as 换个名字
name-reserved = { $name } 是中继保留的名字;请用 --as 换个名字
name-bad = { $name } 不能作名字: 1 到 32 个字,限各种文字的字母、数字和 . _ -
name-other = 您的密钥在 { $relay } 已有名字 { $other };请用 --as { $other }
name-other-unknown = 您的密钥在 { $relay } 已有另一个名字
name-too-many = 近来从这里在 { $relay } 注册的名字太多;请一小时后再试
name-relay-full = { $relay } 的成员已满；请向管理员要一个邀请
name-empty = 名字不能为空
name-too-long = 名字最多 32 个字、96 字节
name-bad-character = 名字里不能有 { $character }: 限各种文字的字母、数字和 . _ -
name-not-given = 您是谁?请用 --as NAME,或在通讯录的 [me] 下写明名字
name-ask = 您的名字:{" "}

## 地址

address-no-port = 地址要带端口: HOST:PORT,例如 127.0.0.1:8081
address-bad-port = 端口须是 1 到 65535 的数
address-bad-host = 主机须是 IP 地址或主机名
address-no-brackets = IPv6 地址要放在方括号里: [::1]:8081
address-url = 地址只写“主机:端口”，前面不加 http://，端口后面什么也不写
address-not-ascii = 主机名只能用 ASCII 字母：请写以 xn-- 开头的形式，或 IP 地址
address-full-width-colon = 冒号请用半角 : 而不是全角 ：

## 文件、文件夹、套接字


## 中继

relay-contacts-line = { $count ->
    [1] 请各成员将下面的内容写入通讯录，放在 [contacts] 之下：
   *[other] 请各成员从下面选一行自己能连到的地址，写入通讯录，放在 [contacts] 之下：
}
relay-contacts-name = "名字"
relay-reloaded = 收到挂断信号：已重新读取供成员使用的地址（{ $count } 个）；选项和限制到下次启动才改变
relay-limits-off-public = --limits off 仅供压测,须用环回地址,而不是 { $addr }
relay-no-message-fits = 一条消息也放不下:--pair-bytes、--mailbox-bytes、--all-mailboxes-bytes、--memory-bytes 都须大于 128;要容纳各种长度的消息,请用 128K
relay-few-files = 系统只允许本中继打开 { $files } 个文件,而按其上限需要 { $promised } 个:请提高 ulimit -n,或调低 --connections

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
relay-log-signed-in = { $name } 已登录，来自 { $from }，走 { $via }
relay-log-signed-out = { $name } 已离线
relay-log-left-out = 另有 { $count } 行类似内容未写出
relay-log-disk = 磁盘：{ $why }
relay-log-disk-over = 磁盘：已恢复写入
relay-log-totals = { $time }内：{ $what }
relay-log-flood = { $what }泛滥开始：一秒内 { $number } 个
relay-log-flood-over = { $what }泛滥结束：{ $time }内共 { $number } 个
relay-log-flood-datagrams = 不属于任何会话的数据报
relay-log-flood-handshakes = 地址未经证实的握手
relay-log-flood-connections = TCP 连接
relay-log-flood-guests = 访客文字
relay-log-flood-sign-ins = 被拒登录
relay-log-minutes = { $count } 分钟
relay-log-seconds = { $count } 秒

## 各命令

send-not-accepted = { $time } 内未被接收;它留在发件箱里,下次运行时发出
send-stays = 消息留在发件箱里,解决以下问题后会发出:{ $why }
send-not-delivered = 已被接收,但 { $time } 内未送达
send-no-reply = { $time } 内没有回复
send-no-text = 没有要发送的文字
listen-time-ran-out = 时间到,收到 { $count } 条消息

bench-flood-public = --flood 只能用于本机的中继，不能用于 { $relay }
bench-idle-public = --idle 只能用于本机的中继（127/8 内的 IPv4 地址），不能用于 { $relay }
bench-idle-stalled = 登录了 { $online } 个空闲成员之后，中继不再接纳；它在运行吗？容得下这么多人吗？带了 --limits off 吗？
bench-idle-lost = 有 { $lost } 个空闲会话丢失了
bench-no-cpu = 读不到进程 { $pid } 的 CPU 时间：{ $cause }
bench-throttled = 中继限制每个发信人每秒 100 封，测到的只是这个限制；请用 --limits off 启动中继
bench-unsound = 有信件丢失、被拒、重复、内容改变或乱序，或者一封也没送到
bench-bare-alone = --bare 自己启动中继，负载由在途信件数或 --idle 决定；请去掉 { $argument }
bench-bare-size = --bare 只比较不超过 { $max } 字节的信件
bench-bare-linux = --bare 只能在 Linux 上使用
bench-rate-and-window = 用 --rate 时发信时刻不由在途信件数决定；请去掉 --window
bench-idle-alone = --idle 测量的是不说话的成员；请去掉 { $argument }
bench-no-time = 测量时间不能为零，例如 --secs 5
bench-no-server = 测试自己的服务进程没有运行：{ $cause }

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
book-address-no-port = { $file }:{ $line }:{ $column }: { $address } 没有端口：请写 "{ $address }:8081"
book-address-bad-port = { $file }:{ $line }:{ $column }: { $address } 的端口应是 1 到 65535 的数
book-address-bad-host = { $file }:{ $line }:{ $column }: { $address } 不是“主机:端口”的形式，例如 127.0.0.1:8081 或 chat.example.org:8081
book-address-no-brackets = { $file }:{ $line }:{ $column }: IPv6 地址要加方括号和端口：{ $fix }
book-address-url = { $file }:{ $line }:{ $column }: { $address } 不只是“主机:端口”：请去掉 http:// 和端口后面的内容
book-address-not-ascii = { $file }:{ $line }:{ $column }: { $address } 的主机名含有 ASCII 以外的字符：请写以 xn-- 开头的形式，或 IP 地址
book-unknown-key = { $file }:{ $line }:{ $column }: 不认识 { $key }；这里可以用：{ $known }
book-unknown-key-near = { $file }:{ $line }:{ $column }: 不认识 { $key }，是不是 { $near }？
book-not-entry = { $file }:{ $line }:{ $column }: { $name } 应写成带引号的 "主机:端口"、中继的名字，或含 relay = "主机:端口" 的表
book-not-text = { $file }:{ $line }:{ $column }: { $key } 应是带引号的文字
book-not-table = { $file }:{ $line }:{ $column }: { $key } 应是表：请单独一行写 [{ $key }]
book-below-table = { $file }:{ $line }:{ $column }: { $key } 对整个文件有效：请移到文件开头，放在第一个 [ ] 之上
book-outside = { $file }:{ $line }:{ $column }: { $name } 不在 [contacts] 之内：请在它上面加一行 [contacts]
book-duplicate-name = { $file }:{ $line }:{ $column }: { $name } 已在第 { $first } 行：请改名或删去其中一个
book-duplicate-key = { $file }:{ $line }:{ $column }: { $key } 写了两次：请删去其中一个
book-tcp-conflict = { $file }:{ $line }:{ $column }: 第 { $first } 行说 { $relay } 的 TCP 地址是 { $tcp }：请让两处一致
book-key-conflict = { $file }:{ $line }:{ $column }: 第 { $first } 行说 { $relay } 的中继密钥是 { $key }：请保留其管理员确认的那一个
book-other-relay-key = { $file } 说 { $relay } 的中继密钥是 { $key }，而不是 { $offered }：未作任何改动。若其管理员确认后者，请运行：queqiao trust { $relay } { $offered }
book-bad-fingerprint = { $file }:{ $line }:{ $column }: 不是密钥的指纹：指纹是四组字母或数字（a-z、2-7），每组五个，如中继显示的那样
book-contact-key = { $file }:{ $line }:{ $column }: 联系人的 key 目前不会被核对，因此不能填写：请删去（中继的密钥是 relay_key）
book-not-relay = { $file }:{ $line }:{ $column }: { $name } 应写成带引号的 "主机:端口"，或含 address = "主机:端口" 的表
book-no-relay-address = { $file }:{ $line }:{ $column }: { $name } 缺少 address = "主机:端口"
book-unknown-relay = { $file }:{ $line }:{ $column }: { $name } 既不是“主机:端口”，也不是 [relays] 中的中继；其中有：{ $known }
book-unknown-relay-near = { $file }:{ $line }:{ $column }: [relays] 中没有 { $name }，是不是 { $near }？
book-dotted-name = { $file }:{ $line }:{ $column }: 带点的名字要加英文引号："{ $name }" = …
book-no-relay = { $file }:{ $line }:{ $column }: { $name } 缺少 relay = "主机:端口"
book-me-empty = { $file }:{ $line }:{ $column }: 我的名字是空的：请填写，或在行首加 #
book-me-reserved = { $file }:{ $line }:{ $column }: { $name } 是中继保留的名字：请换一个
book-name-empty = { $file }:{ $line }:{ $column }: 名字不能为空
book-name-too-long = { $file }:{ $line }:{ $column }: { $name }… 太长：最多 32 个字符、96 字节
book-name-space = { $file }:{ $line }:{ $column }: 名字“{ $name }”里有空格：请去掉
book-name-no-letter = { $file }:{ $line }:{ $column }: 名字 { $name } 里至少要有一个字母、汉字或数字
book-name-bad-character = { $file }:{ $line }:{ $column }: 名字里不能有 { $character }：只能用文字、数字和 . _ -
book-missing = 没有通讯录文件 { $file }
book-unreadable = 无法读取 { $file }：{ $why }
book-unwritable = 无法写入 { $file }：{ $why }
book-of-other = { $file } 属于其他用户；请以该用户的身份修改
book-too-big = { $file } 超过 { $most } 字节：这是通讯录吗？
book-not-utf8 = { $file }:{ $line }：不是 UTF-8 编码：请把文件另存为 UTF-8
book-edit-by-hand = { $file } 的写法无法由程序安全修改：请手工编辑
book-watch-failed = 无法监视 { $file }：{ $why }；修改在下次启动时生效
book-reloaded = 已重新读取 { $file }
book-reload-failed = 沿用原来的通讯录: { $why }
contact-exists = { $file } 里已有 { $name }
contact-unknown = 没有联系人 { $name }；可写 名字@主机:端口，或添加：queqiao contacts add { $name } 主机:端口
contact-unknown-near = 没有联系人 { $name }，是不是 { $near }？
contact-book-empty = 没有联系人 { $name }：通讯录是空的；请添加：queqiao contacts add { $name } 主机:端口
contact-needs-name = { $address } 是中继：请写明是谁，名字@{ $address }
contact-full-width-at = { $name } 里有全角“＠”：请写 @
name-space = 名字里不能有空格
name-no-letter = 名字里至少要有一个字母、汉字或数字

## 文件与文件夹

relay-busy = 另一个中继(进程 { $pid })正在使用 { $folder };请先停止它,或用 --data DIR 指定别的文件夹
member-busy = { $name } 已在本机运行(进程 { $pid }),但该进程没有回应
member-carriers = 已由进程 { $pid } 代你收发:走 UDP 还是 TCP 由它决定
member-no-door = 你的其他命令无法通过本进程收发:{ $cause }
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
relay-restored = 本中继是从备份恢复的：{ $since } 之后接收的消息已丢失。发件人下次连接时会得到通知，并重新发送他们仍有的消息；此后登记的名字、创建的邀请和移除的成员都恢复到了备份时的状态
member-unreachable = { $name } 已在本机运行，但其他命令无法连接它：{ $cause }
socket-failed = { $file }：{ $cause }
socket-not-folder = { $folder } 应为存放套接字的目录；请删除它，或把 XDG_RUNTIME_DIR 设为你自己的目录
socket-folder-foreign = 存放套接字的目录 { $folder } 属于另一用户（用户号 { $uid }）；请删除它，或把 XDG_RUNTIME_DIR 设为你自己的目录
socket-folder-open = 其他用户可以进入存放套接字的目录 { $folder }（权限 { $mode }）；请运行：chmod 700 { $folder }
store-key-open = { $file } 是私钥,但其他用户也能访问(权限 { $mode });请运行:chmod 600 { $file }
store-key-damaged = { $file } 中的密钥已损坏;请从备份恢复该文件
store-key-missing = { $file } 不见了,但其主人的其他文件还在;请从备份恢复,或改用空文件夹重新开始
store-counter-damaged = { $file } 已损坏;请删除它,程序会重新生成
store-database-missing = { $file } 不见了或是空的,但中继的密钥还在;请从备份恢复,或改用空文件夹重新开始
store-not-database = { $file } 不是鹊桥的数据库;请把它移走,或用 --data DIR 指定别的文件夹
store-database-damaged = { $file } 已损坏({ $cause });请从备份恢复
letter-damaged = { $file }:给 { $to }(在 { $relay })的第 { $number } 封信已损坏,不会发送
store-letter-damaged = { $file }:{ $from } 给 { $to } 的一封信已损坏(第 { $row } 行);它留在文件里,不会送给任何人,{ $from } 会得到通知
store-letter-damaged-nameless = { $file }:给 { $to } 的一封信已损坏(第 { $row } 行);它留在文件里,不会送给任何人,发件人不明
store-commits-missing = { $file } 丢失了信件:{ $known } 次写入只剩 { $found } 次,说明它或它的日志(-wal)已损坏、被删除、是旧副本,或是在中继运行时复制的(应使用 queqiao relay backup);请从备份恢复它的全部文件,或删除 { $beside } 后不带这些信件继续
store-commits-damaged = { $file } 已损坏;如果它旁边的数据库完好,删除它即可
store-newer = { $file } 由更新版本的鹊桥创建(格式 { $version });未作任何改动;请使用新版本
store-older = { $file } 由旧版鹊桥创建(格式 { $version }),本版本无法读取;未作任何改动
store-disk-full = 磁盘空间不足,无法写入 { $file };请腾出空间
store-read-only = 无法写入 { $file }：它在只读文件系统上
store-no-files = 无法打开 { $file }：本进程不能再打开更多文件；请提高上限（ulimit -n）
store-link = { $file } 是符号链接，私密文件不经链接打开；请把文件本身放在那里
store-folder-open = 其他人可以写入 { $folder }（权限 { $mode }）；请运行：chmod go-w { $folder }
store-not-permitted = 没有权限访问 { $file }:{ $cause }
store-not-folder = { $file } 是文件,而这里需要文件夹;请用 --data DIR 指定别的文件夹
store-io = 无法读写 { $file }:{ $cause }
store-no-home = 找不到主目录;请用 --data DIR 指定文件夹
store-no-thread = 系统无法再创建线程:{ $cause }
pins-damaged = { $file } 第 { $line } 行:{ $cause };请改正或删除这一行
reach-damaged = { $file } 已损坏（{ $cause }）；请删除它并启动中继，中继会重新写入

## 网络

port-in-use = { $addr } 已被占用({ $carrier });请换一个端口,或停止占用它的程序
cannot-bind = 无法在 { $addr } 上监听({ $carrier }):{ $cause }
bind-no-address = 主机 { $host } 没有可监听的地址：{ $cause }
bind-not-here = 本机没有 { $host } 的地址 { $addr }；请监听本机自己的地址，或用 :端口 监听全部地址
bind-skipped = 未监听 { $addr }：本机没有这个地址
bind-too-many = { $host } 在本机有 { $count } 个地址；请监听其中一个，或用 :端口 监听全部地址
cannot-start = 系统无法启动网络循环:{ $cause }
letter-unreadable = 来自 { $who } 的一条消息({ $id })是本版本无法显示的类型,已退还给 { $who };请更新鹊桥

## 命令补充

send-too-long = 未发送:文字有 { $len } 字节,一条消息最多 { $max } 字节
send-input-too-long = 未发送:标准输入超过了 { $max } 字节,一条消息最多这么长
output-failed = 无法写标准输出:{ $cause }
output-disk = 磁盘已满，无法写标准输出：{ $cause }
argument-not-utf8 = 这个参数不是 UTF-8：{ $argument }；请转换（iconv -t UTF-8），或在 UTF-8 终端里输入
variable-not-utf8 = { $variable } 不是 UTF-8
variable-not-flag = { $variable }={ $value }：请写 1 或 0（也可写 true、false、yes、no）
option-from-variable = { $option } 由 { $variable } 设置
book-no-relays = { $file } 中没有联系人；请添加：queqiao contacts add 名字 主机:端口，或凭邀请加入中继：queqiao join
book-good = { $file }:{ $count } 个联系人,没有错误
contact-added = 已将 { $name } 加入 { $file }
contact-unreachable = { $name } 的地址 { $relay } 连不到任何中继：它不是某一台机器的地址
contact-word = { $name } 用于结束聊天，因此聊天时无法选择该联系人：请换一个名字，并写 member = "{ $name }"
contact-alike = { $name } 看起来像你的联系人 { $other }
contact-removed = 已从 { $file } 删除 { $name }
fingerprint-bad = 不是密钥的指纹：指纹是四组字母或数字（a-z、2-7），每组五个
trust-book = { $file } 中 { $relay } 的中继密钥已改为 { $key }
trust-differs = { $relay } 现在的密钥是 { $key },与给出的不同;未作任何改动
trust-changed = 若 { $relay } 的管理者确认新密钥:queqiao trust { $relay } { $offered }

## 命令行帮助

help = 在自己的网络上聊天:一个中继,若干终端客户端,走 UDP,必要时走 TCP
help--lang = 使用英文(en)或中文(zh);缺省按系统区域设置
help--contacts = 通讯录文件 [缺省为 ./contacts.toml,其次为配置文件夹中的那份]
help--name = 我的名字 [缺省为通讯录 [me] 下的名字]
help--data = 存放密钥等数据的文件夹
help--tcp = 只用 TCP
help--udp = 只用 UDP
help-relay = 运行中继
help-relay-backup = 把中继复制到一个文件中，中继运行与否均可
help-relay-backup--file = 新文件；正在运行的中继必须能写入该处
help-relay-restore = 由备份恢复中继，放入空目录（--data DIR）
help-relay-restore--file = 备份文件
help-relay--bind = UDP 监听地址：IP:端口、主机:端口、端口（127.0.0.1）或 :端口（全部地址）；端口 0 表示任选空闲端口
help-relay--tcp = 同时监听 TCP;不写地址则用同一端口
help-relay--address = 成员连接本中继的主机:端口，用于所显示的通讯录行和邀请 [默认：本机的地址]
help-relay--data = 存放中继密钥和成员名单的文件夹
help-relay--limits = off 解除对发送方的限制,仅供本机压测
help-relay--keep = 信件等候收件人的时间(中继运行期间)
help-relay--mailbox-letters = 每位成员最多等候的信件数
help-relay--mailbox-bytes = 每位成员等候信件的最大字节数
help-relay--pair-letters = 同一发件人给同一成员最多等候的信件数
help-relay--pair-bytes = 同一发件人给同一成员等候信件的最大字节数
help-relay--guests = 接待使用纯文本的客人,来信交给 NAME(echo 则以大写回显)
help-relay--guest-encoding = 客人的编码;auto 先认 UTF-8,否则按 GBK,逐位客人判断
help-relay--guest-greeting = 对 TCP 客人的第一句话,最多 1024 字节
help-relay--guest-limit = 客人的席位数(UDP 至多占一半)
help-relay--guest-anyone = 客人可用"@名字 "开头写给任何成员
help-relay--all-mailboxes-bytes = 所有成员等候信件合计的最大字节数
help-relay--sender-bytes = 同一发送者等候所有成员的消息合计的最大字节数,且不超过 --all-mailboxes-bytes 的十六分之一
help-relay--memory-bytes = 尚未写入磁盘的消息合计的最大字节数
help-relay--letters-per-second = 每位成员长期平均每秒的消息数
help-relay--letters-burst = 每位成员停顿之后一次可发的消息数
help-relay--control-per-second = 每位成员长期平均每秒的控制消息数(报告送达、已读的不计)
help-relay--control-burst = 每位成员停顿之后一次可发的控制消息数
help-relay--names-per-hour = 每个地址每小时可注册的新名字数(本机除外);0 表示不接受
help-relay--all-names-per-hour = 所有人合计每小时可注册的新名字数(只对本机以外可达的中继);其中一半留给当天还没有注册过名字的网络
help-relay--members-max = 名字总数;满了以后只有受邀请的人能注册
help-relay--sessions = 同时的会话数(所有人合计)
help-relay--stranger-sessions = 尚未登录者同时的会话数
help-relay--reassembly-bytes = 所有会话乱序到达而暂存的最大字节数
help-relay--connections = 同时的 TCP 连接数(所有人合计)
help-relay--connections-per-address = 每个地址同时的 TCP 连接数(本机除外)
help-relay--pair-rate = 突发之后,一位成员每秒从同一发件人收到的最大字节数;其余等候
help-relay--pair-burst = 一位成员可从同一发件人一次收到的最大字节数
help-chat = 聊天:选择联系人,写消息
help-chat--contact = 一开始就和谁聊
help-chat--line = 在终端上也逐行对话
help-chat--color = 颜色:auto 自动,always 总是,never 从不
help-send = 发送一条消息,并报告结果
help-send--contact = 联系人、名字@主机:端口;通讯录只有一个中继时可写任意名字
help-send--text = 内容;- 表示把标准输入作为一条消息
help-send--lines = 从标准输入逐行发送,每行一条
help-send--timeout = 这么久没有进展就不再等待;未被接收的下次运行时发出
help-send--wait = 等到哪一步
help-send--reply = 然后等待这么久,打印对方的第一条回信
help-listen = 打印收到的消息
help-listen--json = 每行一个 JSON 对象
help-listen--count = 收到这么多条后结束
help-listen--time = 这么久之后结束
help-history = 打印说过的话,从最早的开始,或将其删除
help-history--contact = 与谁的 [缺省为所有人]
help-history--json = 每行一个 JSON 对象
help-history--last = 只打印最后这么多条
help-history--forget = 删除说过的话而不打印;尚在发件箱里的和还没看过的保留
help-history--older = 只删除比这更早的,例如 90d
help-history--yes = 不再询问,删除全部
help-ping = 测量到中继的往返时间和丢包,UDP 与 TCP
help-ping--target = 联系人或 主机:端口 [缺省为通讯录中的每个中继]
help-ping--count = 每种通道发送多少个探测
help-bench = 向中继大量发信以测量性能；测试用的名字会留在中继的成员表里
help-bench--relay = 中继的 HOST:PORT，启动时须带 --limits off [默认: 127.0.0.1:8081]
help-bench--pairs = 成员对数，每对一人写给另一人 [默认: 4]
help-bench--window = 每对同时在途的信件数 [默认: 64]
help-bench--size = 每封信正文的字节数，至少 16
help-bench--secs = 测量多久（之前先预热一秒）
help-bench--rate = 每秒一共均匀地写多少封信；延迟从该写的时刻算起
help-bench--answer = 每封信都回一封；两封都计数
help-bench--bare = 各用一个处理器启动一个中继和一个只转发数据报的循环，比较两者每封信的 CPU 时间（Linux）
help-bench--as-server = 充当测试自己的服务进程，直到标准输入结束
help-bench--tcp = 用 TCP 而不用 UDP
help-bench--flood = 发信的同时每秒再发多少个随机数据报，只能用于本机回环上的中继
help-bench--idle = 不发信，只登录这么多空闲成员（各有自己的地址），测量中继为每个成员付出的代价；加上 --bare 时也测量空循环应答同样多心跳的代价
help-bench--relay-pid = 中继的进程号，用来测量每封信的 CPU 时间和内存（Linux）
help-bench--json = 输出一个 JSON 对象
help-contacts = 查看或修改通讯录
help-contacts-list = 列出联系人
help-contacts-add = 添加联系人
help-contacts-add--name = 你对他的称呼
help-contacts-add--relay = 联系人所在的中继：主机:端口，或它在通讯录中的名字
help-contacts-add--relay-key = 中继密钥的指纹
help-contacts-add--member = 其在中继上的名字(若不同)
help-contacts-add--note = 备注
help-contacts-add--group = 分组
help-contacts-add--tcp-addr = 中继的 TCP 地址(若不同)
help-contacts-remove = 删除联系人
help-contacts-remove--name = 要删除的联系人
help-contacts-check = 检查有没有错误
help-trust = 查看、接受或更换已记住的中继密钥
help-trust--relay = 主机:端口、通讯录中的中继，或该中继上的联系人
help-trust--fingerprint = 经管理者确认的指纹
send-lines-no-reply = --reply 等待的是一条消息的回信,不能与 --lines 同用

## 演示

demo-among = 你是 { $name },中继就在本进程里;可以写给 JACK、一棵树 或 武大郎。/help 列出命令,Ctrl-D 结束。
demo-replies = 好的!|再说说|随你|桥上见
demo-relay = 中继已就绪:{ $relay },UDP 与 TCP
demo-online = { $who } [{ $via }] 上线
demo-sent = { $from } [{ $via }] 写给 { $to }:{ $text }  (已送达 { $id })
demo-came = { $who } [{ $via }] 收到 { $from } 的消息:{ $text }  ({ $id })
demo-cut = UDP 断了:{ $who } 发往中继的数据报全部消失
demo-mended = UDP 通了:{ $who } 的数据报又能到达
demo-moved = { $who } [{ $via }]:{ $what }
demo-left = { $who } 离开了
demo-waits = { $from } [{ $via }] 写给 { $to }:{ $text }  (在信箱中等候 { $id })
demo-done = 完成:{ $count } 条消息,条条送达,不重不乱
demo-failed = 演示失败:{ $who } 没有等到结果
help-demo = 看看效果:本进程内的一个中继和几位成员,你也在其中
help-demo--color = 颜色:auto 自动,always 总是,never 从不
demo-twice = 演示失败:{ $who } 重复收到一条消息

## 发件箱

send-not-kept = { $time } 内未能写入磁盘:磁盘或代你收发的进程没有响应;消息之后仍可能发出
unkept-disk = 未发送: 您给 { $who } 的消息无法写入磁盘
unkept-full = 未发送: 发件箱里未送达的消息已达 { $count } 条或 256 MiB;请等 { $who } 等人收取一些之后再发
chat-waiting = { $who } 尚未收到: 您的消息在信箱里等候,直到 { $until }
chat-state-queued = 给 { $who } 的“{ $text }”已在发件箱
chat-state-accepted = 给 { $who } 的“{ $text }”已到中继
chat-state-waiting = 给 { $who } 的“{ $text }”在信箱里等候,直到 { $until }
chat-state-read = ✓✓ { $who } 已读“{ $text }”

## 客人

desk-answer = 回复消息:{" "}
desk-incoming = 来自[{ $who }]的一条消息:{" "}
desk-no-input = 没有输入，因此这里无法回复；中继继续运行，直到被停止（SIGTERM）
desk-nobody-waits = 没有人在等回复。您的文字:
desk-no-guests = 近来没有客人来信
desk-begins = 您是 { $name },客人会在 { $relay } 写给您;输入 quit 结束中继
chat-guest = 客人 { $who },地址 { $address },最近来信 { $heard };未认证,未加密
chat-help-close = 结束与客人的对话
chat-close-no-guest = 没有可结束的对话:请先选一位客人
help-relay--desk = 在本窗口以 NAME(默认 DESK)的身份答复客人;相当于同时给出 --guests NAME
guest-told-away = { $name } 不在,您的留言已留下。
guest-told-nobody = 这里没有叫这个名字的人。
guest-told-no-web = 这里不是网站：请用 nc 或 telnet 连接，直接输入文字。
guest-told-full = 您的留言暂时收不下,请稍后再试。
guest-ended = [{ $who }] 已发送完毕,一分钟内仍可收到回复
guest-left = [{ $who }] 已离开
guest-closed = 您结束了与 [{ $who }] 的对话
chat-incoming-guest = 来自客人 { $who } [{ $via }] { $time } 的一条消息:{" "}
refused-guest-gone = 未送达: 客人 { $who } 已经离开
send-guest-confirms-nothing = 中继已交给客人;客人不作任何确认,无从得知是否收到
relay-guests-nobody = { $name } 尚未在此注册:首次登录之前,客人的来信无人可收

## 谁可以使用中继

name-closed = { $relay }：这个中继不对外开放；请向管理员要一个邀请（只能用一次，过期无效）
name-kept = { $relay } 把 { $name } 留给了受邀的人；请用 --as 换一个名字
name-invited-other = 你在 { $relay } 的邀请是给 { $other } 这个名字的；请用 --as { $other }
name-removed = { $relay }：管理员已将你移除；请向管理员要一个邀请
invite-bad = 这不是邀请码：邀请码是 26 个字母和数字
invite-empty = 没有收到邀请：邀请是以 queqiao: 开头的一行
invite-not-one = 不是邀请：{ $text } 不是以 queqiao: 开头
invite-space = 邀请在“{ $text }”之后断开：它应是不含空格的一行
invite-unknown-field = 邀请中有未知的字段 { $field }；可用的只有：{ $known }
invite-twice = 邀请中的字段 { $field } 出现了两次
invite-lacks = 邀请缺少 { $field }=……；请复制完整的一行
invite-bad-key = 邀请中的 { $key } 不是密钥的指纹：指纹是四组字母或数字（a-z、2-7），每组五个
invite-bad-tcp = 邀请中的 tcp={ $tcp } 不是端口：应为 1 到 65535 的数字
invite-bad-name = 邀请中的 { $name } 不是百分号编码的名字
join-ask = 邀请（以 queqiao: 开头的一行，不会显示）：
join-on-command-line = 命令行中的邀请可被本机其他用户看到；下次请运行 queqiao join 后再粘贴
join-used = { $relay }：该邀请已被使用、已过期或已撤销；请向管理员索取新的邀请
join-silent = { $time } 内未能在 { $relay } 登录；未作任何改动：请用同一行再次运行 queqiao join
join-not-written = { $name } 已在 { $relay } 注册，但无法修改通讯录；请将 { $line } 写入 [relays] 之下：{ $why }
join-done = { $name } 已在 { $relay } 登录，密钥 { $key } 与邀请一致；该中继已写入 { $file }，名为 { $relay_name }
join-next = 接下来：queqiao chat --as { $name }，或 queqiao send --as { $name } 名字{ $at } "你好"
members-no-address = 还不知道成员如何连接 { $folder } 的中继，因为它尚未运行过：请启动它，或用 --address 主机:端口 指定
members-loopback = { $relay } 只能在本机连接；要让别处的成员使用，请用 --bind 0.0.0.0:8081 启动中继，或用 --address 主机:端口 指定
members-other-addresses = 该中继还有地址 { $addresses }；要改用其中一个，或改用主机名，请用 --address 主机:端口 指定
help-members-invite--address = 成员连接中继的主机:端口 [默认：中继上次启动时的地址]
help-join = 凭邀请加入中继：从终端或标准输入读取邀请，核对密钥，登录
help-join--invitation = 邀请；最好在提示时粘贴，因为本机其他用户能看到命令行参数
members-invited = 给 { $who } 的邀请（仅可使用一次，有效期至 { $until }）；请 { $who } 运行 queqiao join，然后粘贴这一行：
members-invited-anybody = 不限名字的邀请（仅可使用一次，有效期至 { $until }）；请新成员运行 queqiao join，然后粘贴这一行：
members-invited-again = 先前已邀请过 { $name }：原来的邀请不再有效
members-removed = 已移除 { $name }；这个名字会保留，直到你邀请别人用它
members-none = 没有成员，也没有邀请
members-no-relay = { $folder } 不是中继的文件夹；请用 --data DIR 指出
members-unknown = { $folder } 的中继没有成员 { $name }；用 queqiao members list 看有谁
members-taken = { $name } 已经是成员；请换一个名字，或先移除那位成员
members-confusable = { $name } 看起来像成员 { $other }；请换一个名字，或者在中继以 --closed 运行时邀请它
members-alike = { $name } 看起来像成员 { $other }；这个邀请只给 { $name } 这个名字
members-reserved = { $name } 是中继保留的名字；请换一个
members-full = 已有 { $count } 个邀请在等待；请等其中一些过期
members-disk = 写不下来：{ $folder } 的磁盘出错或已满
members-silent = 中继（进程 { $pid }）没有回答；它之后仍可能照办：请用 queqiao members list 查看
help-relay--loopback-too = 把来自本机回环的握手也像其他网络一样计入限额，用于性能测试
help-relay--closed = 只凭邀请登记新名字（queqiao members invite）
help--invite = 邀请码，用于不对外开放的中继
help-members = 管理谁可以使用中继；由管理员在中继所在的机器上使用
help-members--data = 中继的文件夹
help-members-list = 列出成员和等待中的邀请
help-members-list--json = 每行一个 JSON 对象
help-members-invite = 创建邀请：一行文字，新成员把它交给 queqiao join
help-members-invite--name = 为新成员保留的名字 [否则任何没人用的名字都行]
help-members-invite--time = 邀请多久有效
help-members-remove = 移除一位成员：会话结束，等着给它的信退回
help-members-remove--name = 谁

## 不想收的信

chat-incoming-stranger = 来自 { $who }（不在通讯录里）[{ $via }] { $time } 的一条消息:{" "}
chat-looks-like = 小心：{ $relay } 的 { $who } 不是你的联系人 { $contact }，只是名字看起来像
chat-help-block = 不再收某人的信
chat-help-unblock = 重新收某人的信
contact-blocked = 已在 { $file } 屏蔽 { $name }：{ $name } 的信会被拒收
contact-unblocked = 已在 { $file } 解除对 { $name } 的屏蔽
book-not-switch = { $file }:{ $line }:{ $column }：{ $key } 只能是 true 或 false，不加引号
help-contacts-block = 不再收某人的信
help-contacts-block--name = 联系人，或 名字@主机:端口（会加进通讯录）
help-contacts-unblock = 重新收某人的信
help-contacts-unblock--name = 联系人
help--contacts-only = 拒收不在通讯录里的人的消息；在通讯录里写上 contacts_only = true 则始终如此
