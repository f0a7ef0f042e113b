# 给人看的句子,中文。键与参数同 en.ftl,由测试保证。
# `count` 是数;其余参数都是文本,且已无害化。

## 行模式

chat-choose = 请选择聊天对象:{" "}
chat-write = 请输入消息,回车发送:{" "}
chat-incoming = 来自 { $who } [{ $via }] { $time } 的一条消息:{" "}
chat-missing = 此处缺 { $count } 条消息
chat-contacts = 联系人: { $names }
chat-no-contacts = 通讯录里没有联系人;添加: queqiao contacts add NAME HOST:PORT
chat-no-such-command = 未发送: 没有命令 { $command };/help 列出全部命令。要发送以 / 开头的文字,请写 //
chat-command-usage = 未发送: 用法是 { $usage }
chat-slashguard = 未发送: 看起来是命令,但前面多了东西。命令是 { $command };要发送以 / 开头的文字,请写 //
chat-too-long = 未发送: 这段文字有 { $len } 字节,一条消息最多 { $max } 字节。原文如下:
chat-text-back = 您的原文:
chat-unreadable = 来自 { $who } 的一条消息是本版本读不懂的({ $id })
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
chat-left-unsent = 有 { $count } 条消息未被中继及时接收,可能没有送到
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
chat-help-receipts = 是否显示每条消息的送达回执
chat-help-quit = 结束

## 输入

input-not-utf8 = 未发送: 这一行不是 UTF-8
input-too-long = 未发送: 这一行超过 { $max } 字节
input-failed = 无法读取标准输入: { $cause }

## 被拒的消息

refused-unknown = 未送达: 中继上没有成员 { $who }
refused-offline = 未送达: { $who } 不在线
refused-full = 未送达: { $who } 的信箱已满
refused-too-long = 未送达: 消息超过中继允许的长度
refused-blocked = 未送达: { $who } 不接收您的消息
refused-behind = 未送达: 它前面的一条消息被拒
refused-may-have-arrived = 但也可能已经送到
refused-nearest = 名字相近的成员: { $names }

## 中继连得上与否

relay-silent = { $relay } 没有中继应答;启动一个: queqiao relay --tcp
relay-no-tcp = { $relay } 没有 TCP 监听;启动中继时请加 --tcp
relay-no-host = 找不到 { $relay } 的主机地址;请检查通讯录里的写法
relay-refused = { $relay } 的中继有应答,但无法证明它的密钥,或不接受我们的密钥
relay-key-changed = { $relay } 的中继出示的密钥与记下的({ $pinned })不同: 不向它发送任何内容。若其管理员确认新密钥: queqiao trust { $relay } { $offered }
relay-pinned = 首次连接 { $relay } 的中继: 已记下其密钥 { $key };请向其管理员核对
relay-lost = 与 { $relay } 的连接已断;正在重连
relay-online = 已连接 { $relay },走 { $via }
relay-online-again = 已重新连接 { $relay },走 { $via }
relay-moved-tcp = { $relay }: UDP 不通,改走 TCP
relay-moved-udp = { $relay }: 改走 UDP
relay-replaced = 另一台机器用您的密钥登录了 { $relay };本机已停止
relay-not-in-time = { $relay } 在 { $time } 内没有应答

## 名字

name-taken = { $name } 在 { $relay } 已被占用: 属于另一把密钥;请用 --as 换个名字
name-confusable = { $name } 与 { $relay } 上已有的 { $other } 太像;请用 --as 换个名字
name-reserved = { $name } 是中继保留的名字;请用 --as 换个名字
name-bad = { $name } 不能作名字: 1 到 32 个字,限各种文字的字母、数字和 . _ -
name-other = 您的密钥在 { $relay } 已有名字 { $other };请用 --as { $other }
name-other-unknown = 您的密钥在 { $relay } 已有另一个名字
name-too-many = 近来从这里在 { $relay } 注册的名字太多;请一小时后再试
name-disk = { $relay } 无法记下名字 { $name }: 它的磁盘出错
name-empty = 名字不能为空
name-too-long = 名字最多 32 个字、96 字节
name-space = 名字里不能有空格: 请用 . _ 或 -
name-no-letter = 名字里至少要有一个字母或数字
name-bad-character = 名字里不能有 { $character }: 限各种文字的字母、数字和 . _ -
name-not-given = 您是谁?请用 --as NAME,或在通讯录的 [me] 下写明名字
name-ask = 您的名字:{" "}

## 地址

address-no-port = { $address } 要带端口: HOST:PORT,例如 127.0.0.1:8081
address-bad-port = { $address } 的端口须是 1 到 65535 的数
address-bad-host = { $address } 的主机须是 IP 地址或主机名
address-no-brackets = IPv6 地址要放在方括号里: 写 [::1]:8081 而不是 { $address }
address-full-width-colon = { $address } 的冒号请用半角 : 而不是全角 ：

## 文件、文件夹、套接字

port-in-use = { $addr }({ $carrier })已被占用;请用 --bind 换一个,端口写 0 则自动选取
cannot-bind = { $addr }({ $carrier })无法使用: { $cause }
cannot-start = 系统拒绝提供启动所需: { $cause }
store-no-home = 没有主目录可存放数据: 请设 HOME,或给出 --data DIR
store-not-folder = { $file } 不是文件夹;请用 --data 换一个
store-not-permitted = 当前用户无法读写 { $file }: { $cause }
store-io = { $file }: { $cause }
store-disk-full = 磁盘已满,无法写入 { $file }
store-not-database = { $file } 不是 queqiao 的数据库;请将其移走,或用 --data 换一个文件夹
store-newer = { $file } 由更新版本的 queqiao(版本 { $version })写成,原样未动
store-database-damaged = { $file } 已损坏({ $cause });请从备份恢复
store-database-missing = 缺少 { $file },而中继的密钥还在;请从备份恢复,或移走密钥以重新开始
store-key-open = { $file } 存有私钥,却可被他人读取(权限 { $mode }): chmod 600 { $file }
store-key-damaged = { $file } 里不是私钥;请从备份恢复
store-key-missing = 缺少 { $file }: 没有私钥就谁也认不出;请从备份恢复
store-counter-damaged = { $file } 里不是数;请从备份恢复
store-no-thread = 系统无法再开线程: { $cause }
pins-damaged = { $file }:{ $line }: { $cause };请改正或删去这一行
member-busy = 本机已有 { $name } 的另一个 queqiao 在运行(进程 { $pid })
relay-busy = 已有另一个中继在使用 { $folder }(进程 { $pid })

## 中继

relay-contacts-line = 供各成员写入通讯录的 [contacts] 之下:
relay-limits-off-public = --limits off 仅供压测,须用环回地址,而不是 { $addr }
relay-stopping = 中继结束

## 各命令

send-not-accepted = { $time } 内未被接收
send-not-delivered = 已被接收,但 { $time } 内未送达
send-no-reply = { $time } 内没有回复
send-no-text = 没有要发送的文字
listen-time-ran-out = 时间到,收到 { $count } 条消息
ping-no-answer = { $relay } 没有应答(走 { $via })
ping-answer = { $relay } 应答(走 { $via }),用时 { $time }
interrupted = 已中断

## 通讯录

contact-exists = { $file } 里已有 { $name };先删除: queqiao contacts remove { $name }
contact-unknown = 通讯录里没有 { $name };要写给别人请用 NAME@HOST:PORT
contact-unknown-near = 通讯录里没有 { $name };您要找的是不是 { $near }?
contact-book-empty = 通讯录里没有联系人,不知道 { $name } 在哪里;添加: queqiao contacts add { $name } HOST:PORT
contact-needs-name = { $address } 是中继;要找那里的谁?请写 NAME@{ $address }
contact-full-width-at = { $name } 里的 @ 请用半角,而不是全角 ＠
book-missing = { $file } 处没有通讯录;新建: queqiao contacts add NAME HOST:PORT
book-unreadable = 无法读取 { $file }: { $why }
book-unwritable = 无法写入 { $file }: { $why }
book-too-big = { $file } 超过 { $most } 字节: 不是通讯录
book-not-utf8 = { $file }:{ $line }: 不是 UTF-8;请将文件存为 UTF-8
book-watch-failed = 对 { $file } 的修改将不会被察觉: { $why }
book-edit-by-hand = { $file } 的写法无法安全地自动修改;请手工编辑
book-reloaded = 已重新读取 { $file }
book-reload-failed = 沿用原来的通讯录: { $why }
book-syntax = { $file }:{ $line }:{ $column }: 这里不是 TOML({ $why })
book-full-width-quotes = { $file }:{ $line }:{ $column }: 引号请用半角 " 而不是 “ ”
book-full-width-colon = { $file }:{ $line }:{ $column }: 冒号请用半角 : 而不是全角 ：
book-full-width-equals = { $file }:{ $line }:{ $column }: 等号请用半角 = 而不是全角 ＝
book-full-width-space = { $file }:{ $line }:{ $column }: 这里请用普通的半角空格
book-full-width-mark = { $file }:{ $line }:{ $column }: 请写 { $wanted } 而不是 { $found }
book-bare-key = { $file }:{ $line }:{ $column }: 名字请加引号: "{ $name }"
book-bare-value = { $file }:{ $line }:{ $column }: 值请加引号: "{ $value }"
book-unclosed-quote = { $file }:{ $line }:{ $column }: 这个引号没有闭合
book-colon = { $file }:{ $line }:{ $column }: 名字与中继之间用 = 而不是 :
book-no-value = { $file }:{ $line }:{ $column }: { $name } 后面要写 = "HOST:PORT"
book-duplicate-name = { $file }:{ $line }:{ $column }: { $name } 在第 { $first } 行已有
book-duplicate-key = { $file }:{ $line }:{ $column }: { $key } 出现了两次
book-duplicate-public-key = { $file }:{ $line }:{ $column }: { $name } 与 { $other } 的密钥相同
book-tcp-conflict = { $file }:{ $line }:{ $column }: 第 { $first } 行说 { $relay } 的 TCP 监听在 { $tcp }
book-me-empty = { $file }:{ $line }:{ $column }: 您的名字是空的;请写上,或在行首加 #
book-me-reserved = { $file }:{ $line }:{ $column }: { $name } 是中继保留的名字;请换一个
book-not-entry = { $file }:{ $line }:{ $column }: { $name } 要有中继: "HOST:PORT" 或 { "{" } relay = "HOST:PORT" { "}" }
book-not-table = { $file }:{ $line }:{ $column }: [{ $key }] 须自成一节
book-not-text = { $file }:{ $line }:{ $column }: { $key } 须是引号里的文字
book-dotted-name = { $file }:{ $line }:{ $column }: 带点的名字请加引号: "{ $name }"
book-no-relay = { $file }:{ $line }:{ $column }: { $name } 要有 relay = "HOST:PORT"
book-outside = { $file }:{ $line }:{ $column }: { $name } 写在了 [contacts] 之上;请移到它下面
book-unknown-key = { $file }:{ $line }:{ $column }: 不认识的键 { $key };可用的有 { $known }
book-unknown-key-near = { $file }:{ $line }:{ $column }: 不认识的键 { $key };是不是 { $near }?
book-bad-public-key = { $file }:{ $line }:{ $column }: 密钥有 43 个字符: 字母、数字、- 和 _
book-name-empty = { $file }:{ $line }:{ $column }: 名字不能为空
book-name-too-long = { $file }:{ $line }:{ $column }: 名字最多 32 个字、96 字节
book-name-space = { $file }:{ $line }:{ $column }: 名字 { $name } 里有空格: 请用 . _ 或 -
book-name-no-letter = { $file }:{ $line }:{ $column }: 名字 { $name } 里至少要有一个字母或数字
book-name-bad-character = { $file }:{ $line }:{ $column }: 名字 { $name } 里不能有 { $character }: 限各种文字的字母、数字和 . _ -
book-address-no-port = { $file }:{ $line }:{ $column }: { $address } 要带端口: HOST:PORT,例如 127.0.0.1:8081
book-address-bad-port = { $file }:{ $line }:{ $column }: { $address } 的端口须是 1 到 65535 的数
book-address-bad-host = { $file }:{ $line }:{ $column }: { $address } 的主机须是 IP 地址或主机名
book-address-no-brackets = { $file }:{ $line }:{ $column }: IPv6 地址要放在方括号里: 写 [::1]:8081 而不是 { $address }
