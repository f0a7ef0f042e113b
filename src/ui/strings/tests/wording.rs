//! Words and punctuation of the texts: one word for each thing, and Chinese marks in Chinese.

use super::{EN, ZH};

/// Prompts and headers that keep the form of the tutorials, for scripts that read them.
const TUTORIAL_KEYS: [&str; 4] = ["chat-choose", "chat-write", "desk-incoming", "desk-answer"];
/// Texts about the half-width marks themselves, and one in English, for terminals that may not show
/// Chinese.
const MARK_KEYS: [&str; 4] =
    ["address-full-width-colon", "book-full-width-colon", "book-colon", "input-set-locale"];
const HALF_WIDTH: &str = ",;:()?!";
/// Parts that users type or that compilers print, with half-width marks.
const CODE: [&str; 6] = [
    "{ $file }:{ $line }:{ $column }: ",
    "{ $file }:{ $line }: ",
    "名字@主机:端口",
    "主机:端口",
    "queqiao:",
    "{\" \"}",
];

/// Words that other words have replaced, and the keys that may have them.
const CHINESE_WORDS: [(&str, &[&str]); 24] = [
    ("您", &[]),
    ("信件", &[]),
    ("封信", &[]),
    ("来信", &[]),
    ("回信", &[]),
    ("留言", &[]),
    ("客人", &[]),
    ("管理者", &[]),
    ("运维", &[]),
    ("服务器", &[]),
    ("聊天对象", &["chat-choose"]),
    ("发信人", &[]),
    ("发送方", &[]),
    ("发送者", &[]),
    ("文件夹", &[]),
    ("等候", &[]),
    ("缺省", &[]),
    ("回音", &[]),
    ("应答", &[]),
    ("答复", &[]),
    ("登记", &[]),
    ("改走", &[]),
    ("压测", &[]),
    ("记下", &[]),
];

const ENGLISH_WORDS: [(&str, &[&str]); 22] = [
    ("folder", &[]),
    ("folders", &[]),
    ("whoever", &[]),
    ("nobody", &[]),
    ("somebody", &[]),
    ("anybody", &[]),
    ("anew", &[]),
    ("told", &[]),
    ("beside", &[]),
    ("lately", &[]),
    ("otherwise", &[]),
    ("administrator", &[]),
    ("correspondent", &[]),
    ("visitor", &[]),
    ("carrier", &[]),
    ("silent", &[]),
    ("vain", &[]),
    ("beware", &[]),
    ("whom", &[]),
    ("server", &["bench-no-server", "help-bench--as-server", "relay-no-name-server"]),
    // Of the alphabet, in names, keys and codes.
    ("letter", &["name-no-letter", "book-name-no-letter"]),
    ("letters", &["name-bad", "name-bad-character", "book-name-bad-character", "invite-bad"]),
];

/// Returns each key with the lines of its text.
fn texts(source: &str) -> Vec<(&str, String)> {
    let mut texts: Vec<(&str, String)> = Vec::new();
    for line in source.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once(" = ").filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase())) {
            Some((key, text)) => texts.push((key, text.to_owned())),
            None => texts.last_mut().expect("a key comes first").1.extend(["\n", line]),
        }
    }
    texts
}

/// Returns a text with each part in `CODE`, and each part in straight quotes, replaced by `-`.
fn without_code(text: &str) -> String {
    let text = CODE.iter().fold(text.to_owned(), |text, code| text.replace(code, "-"));
    let quoted = text.split('"').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "-" });
    quoted.collect()
}

fn is_han(c: char) -> bool {
    ('\u{3400}'..='\u{9fff}').contains(&c)
}

/// Whether a half-width mark next to `c` is wrong: Han, a Chinese mark, or a gap for any text.
fn is_chinese(c: char) -> bool {
    is_han(c) || "，；：（）？！。、“”{}".contains(c)
}

/// Returns the half-width marks in Chinese, each with its neighbours. A space may be in between.
fn half_width_marks(text: &str) -> Vec<String> {
    let text: Vec<char> = without_code(text).chars().collect();
    let skip_space = |at: Option<usize>, next: Option<usize>| match at.and_then(|at| text.get(at)) {
        Some(' ') => next.and_then(|next| text.get(next)).copied(),
        other => other.copied(),
    };
    let mut found = Vec::new();
    for (at, mark) in text.iter().enumerate().filter(|(_, mark)| HALF_WIDTH.contains(**mark)) {
        let before = skip_space(at.checked_sub(1), at.checked_sub(2));
        let after = skip_space(Some(at + 1), Some(at + 2));
        if [before, after].iter().flatten().any(|c| is_chinese(*c)) {
            found.push(format!("{before:?} {mark} {after:?}"));
        }
    }
    found
}

/// Returns the places where a Chinese character touches a Latin one, a digit or a gap.
fn missing_spaces(text: &str) -> Vec<String> {
    let text: Vec<char> = without_code(text).chars().collect();
    let is_latin = |c: char| c.is_ascii_alphanumeric();
    let pairs = text.windows(2).filter(|pair| {
        let [left, right] = [pair[0], pair[1]];
        (is_han(left) && (is_latin(right) || right == '{'))
            || ((is_latin(left) || left == '}') && is_han(right))
    });
    pairs.map(|pair| pair.iter().collect()).collect()
}

#[test]
fn chinese_texts_have_chinese_punctuation() {
    for (key, text) in texts(ZH) {
        if TUTORIAL_KEYS.contains(&key) || MARK_KEYS.contains(&key) {
            continue;
        }
        assert_eq!(half_width_marks(&text), [""; 0], "{key}: {text}");
        let spaced = without_code(&text).replace("“@名字 ”", "").replace("全角 ：", "");
        for mark in "，；：（）？！。".chars() {
            let has_space = spaced.contains(&format!(" {mark}")) || spaced.contains(&format!("{mark} "));
            assert!(!has_space, "{key}: a space next to {mark}: {text}");
        }
    }
}

#[test]
fn chinese_and_latin_characters_have_space_between() {
    for (key, text) in texts(ZH).iter().filter(|(key, _)| *key != "join-next") {
        assert_eq!(missing_spaces(text), [""; 0], "{key}: {text}");
    }
}

#[test]
fn marks_and_spaces_are_found() {
    for wrong in
        ["未发送: 您", "已断;请", "记下的({ $key })", "完成:{ $n }", "{ $relay }: 已断", "“好”, 是", "吗?"]
    {
        assert!(!half_width_marks(wrong).is_empty(), "{wrong}");
    }
    for right in
        ["写 \"主机:端口\"、", "请给 主机:端口，", "{ $file }:{ $line }:{ $column }: 请", "--tcp, --udp"]
    {
        assert_eq!(half_width_marks(right), [""; 0], "{right}");
    }
    assert_eq!(missing_spaces("走TCP，4 个，{ $n }条"), ["走T", "}条"]);
}

#[test]
fn texts_have_no_replaced_words() {
    for (key, text) in texts(ZH) {
        for (word, allowed) in CHINESE_WORDS {
            assert!(!text.contains(word) || allowed.contains(&key), "{key}: {word} in {text}");
        }
    }
    for (key, text) in texts(EN) {
        let text = text.to_lowercase();
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '$');
        let wrong = words.find(|word| {
            ENGLISH_WORDS.iter().any(|(replaced, allowed)| word == replaced && !allowed.contains(&key))
        });
        assert_eq!(wrong, None, "{key}: {text}");
    }
}

#[test]
fn exceptions_of_words_are_needed() {
    for (source, words) in [(EN, &ENGLISH_WORDS[..]), (ZH, &CHINESE_WORDS[..])] {
        let texts = texts(source);
        for (word, keys) in words {
            for key in *keys {
                assert!(texts.iter().any(|text| text.0 == *key && text.1.contains(word)), "{key}: {word}");
            }
        }
    }
}

#[test]
fn help_texts_have_no_final_full_stop() {
    for (key, text) in [texts(EN), texts(ZH)].concat() {
        let is_help = key == "help" || key.starts_with("help-");
        assert!(!is_help || !text.ends_with(['.', '。']), "{key}: {text}");
    }
}

#[test]
fn prompts_of_tutorials_are_kept() {
    let texts = texts(ZH);
    let text = |key| texts.iter().find(|text| text.0 == key).map(|text| text.1.as_str());
    assert_eq!(text("chat-choose"), Some("请选择聊天对象:{\" \"}"));
    assert_eq!(text("chat-write"), Some("请输入消息,回车发送:{\" \"}"));
}
