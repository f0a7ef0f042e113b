//! Checks the tables of texts against each other and against the program. Compiled with tests only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;

mod wording;

/// Parses a table into its keys, each with the arguments of its text.
fn table(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut key = String::new();
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) =
            line.split_once(" =").filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase()))
        {
            key = name.to_owned();
            assert!(keys.insert(key.clone(), BTreeSet::new()).is_none(), "duplicate key {key}");
        }
        for gap in line.split("{ $").skip(1) {
            let name = gap.split([' ', '}']).next().unwrap();
            keys.get_mut(&key).unwrap().insert(name.to_owned());
        }
    }
    keys
}

/// Collects the source of every file under `src`, without its tests.
fn program_texts(folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            program_texts(&path, texts);
        } else if path.extension().is_some_and(|e| e == "rs")
            && path.file_name().is_some_and(|n| n != "tests.rs")
        {
            let text = fs::read_to_string(&path).unwrap();
            let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            texts.push((path.display().to_string(), program));
        }
    }
}

/// Returns the keys in `Phrase::new("…")`, in `=> "…"` of a `fn key`, and those of the address book
/// anywhere.
fn keys_used(program: &str) -> Vec<String> {
    let literal = |text: &str| {
        let text = text.trim_start().strip_prefix('"')?;
        Some(text.split('"').next().unwrap().to_owned())
    };
    let calls = ["Phrase::new(", "of_file(", "of_folder("];
    let mut keys: Vec<String> =
        calls.iter().flat_map(|call| program.split(call).skip(1).filter_map(literal)).collect();
    for body in program.split("fn key(").skip(1) {
        let body = body.split("\n    }\n").next().unwrap();
        keys.extend(body.split("=>").skip(1).filter_map(literal));
    }
    let is_book = |text: &&str| text.strip_prefix("book-").is_some_and(|rest| rest.chars().all(is_in_key));
    keys.extend(program.split('"').filter(is_book).map(str::to_owned));
    keys
}

/// Returns the argument names in `.with("…"`.
fn arguments_given(program: &str) -> impl Iterator<Item = &str> {
    program.split(".with(\"").skip(1).filter_map(|rest| rest.split('"').next())
}

fn is_in_key(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

#[test]
fn both_languages_have_same_keys_and_arguments() {
    let en = table(EN);
    let zh = table(ZH);
    assert!(en.len() > 80);
    assert_eq!(en, zh);
}

#[test]
fn every_phrase_has_text_and_its_arguments_are_given() {
    let mut texts = Vec::new();
    program_texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let known = table(EN);
    let given: BTreeSet<&str> = texts.iter().flat_map(|(_, program)| arguments_given(program)).collect();
    let mut seen = 0;
    for (file, program) in &texts {
        for key in keys_used(program) {
            let args = known.get(&key).unwrap_or_else(|| panic!("{file}: no text for {key:?}"));
            let lost: Vec<&String> = args.iter().filter(|arg| !given.contains(arg.as_str())).collect();
            assert!(lost.is_empty(), "{file}: no argument {lost:?} is given to {key:?}");
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} phrases found: the search is broken");
}

#[test]
fn keys_are_found_in_both_forms() {
    let program = "Phrase::new(\n    \"one\") Phrase::new(key)\n    fn key(self) -> x {\n        A => \"two\",\n    }\n => \"no\"";
    assert_eq!(keys_used(program), ["one", "two"]);
}

#[test]
fn every_text_uses_its_arguments_and_is_one_line() {
    for lang in [Lang::En, Lang::Zh] {
        let strings = Strings::new(lang);
        for (key, args) in table(EN) {
            for count in ["1", "2"] {
                let mut phrase = Phrase::new(Box::leak(key.clone().into_boxed_str()));
                for arg in &args {
                    phrase = phrase.with(
                        Box::leak(arg.clone().into_boxed_str()),
                        if arg == "count" { count } else { "X" },
                    );
                }
                let said = strings.say(&phrase);
                assert!(!said.is_empty() && !said.contains('\n') && !said.contains("{$"), "{key}: {said}");
                assert!(!said.contains(key.as_str()) || key == "interrupted", "{key}: {said}");
            }
        }
    }
}

#[test]
fn singular_and_plural_differ_and_numeric_names_stay_names() {
    let strings = Strings::new(Lang::En);
    assert_eq!(strings.say(&Phrase::new("chat-missing").with("count", 1)), "1 message missing here");
    assert_eq!(
        strings.say(&Phrase::new("chat-missing").with("count", 12_345)),
        "12345 messages missing here"
    );
    assert_eq!(
        strings.say(&Phrase::new("refused-expired").with("who", "007")),
        "Not delivered: 007 did not fetch it in time"
    );
}

#[test]
fn arguments_cannot_break_line_or_control_terminal() {
    for lang in [Lang::En, Lang::Zh] {
        let phrase = Phrase::new("refused-expired").with("who", "a\nb\r\x1b[2J\u{9b}1m\u{202e}\u{2066}");
        let said = Strings::new(lang).say(&phrase);
        assert!(
            !said.contains(|c: char| c.is_control() || "\u{202e}\u{2066}\u{2068}\u{2069}".contains(c)),
            "{said:?}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn system_errors_are_in_the_users_language() {
    let error = |number| std::io::Error::from_raw_os_error(number).to_string();
    let said = |lang, cause: &str| {
        let phrase = Phrase::new("store-io").with("file", "f").with("cause", cause);
        Strings::new(lang).say(&phrase)
    };
    assert!(
        said(Lang::Zh, &error(13)).ends_with("：没有权限（os error 13）"),
        "{}",
        said(Lang::Zh, &error(13))
    );
    let lookup = said(Lang::Zh, "failed to lookup address information: Name or service not known");
    assert!(lookup.ends_with("：查不到它的地址"), "{lookup}");
    assert!(said(Lang::Zh, &error(71)).ends_with("(os error 71)"), "an unknown one stays as it is");
    // The English table holds the texts of the system: so each translation is that of its number.
    let english = Strings::new(Lang::En);
    for number in table(EN).keys().filter_map(|key| key.strip_prefix("os-error-")?.parse().ok()) {
        let text = english.find(&format!("os-error-{number}")).unwrap();
        assert_eq!(error(number), format!("{text} (os error {number})"));
        assert!(!said(Lang::Zh, &error(number)).contains(&text), "{text}");
    }
    let name = Phrase::new("refused-expired").with("who", error(13));
    assert!(
        Strings::new(Lang::Zh).say(&name).contains("(os error 13)"),
        "only causes are errors of the system"
    );
}

#[test]
fn key_without_text_is_shown_as_itself() {
    let phrase = Phrase::new("no-such-key").with("path", "/x");
    assert_eq!(Strings::new(Lang::Zh).say(&phrase), "no-such-key path=\"/x\"");
}

#[test]
fn language_follows_flag_then_environment() {
    let env = |pairs: &'static [(&str, &str)]| {
        move |name: &str| pairs.iter().find(|p| p.0 == name).map(|p| p.1.to_owned())
    };
    assert_eq!(Lang::pick(None, env(&[])), Lang::En);
    assert_eq!(Lang::pick(None, env(&[("LANG", "zh_CN.UTF-8")])), Lang::Zh);
    assert_eq!(Lang::pick(None, env(&[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")])), Lang::En);
    assert_eq!(Lang::pick(None, env(&[("LC_ALL", ""), ("LC_MESSAGES", "zh_TW"), ("LANG", "C")])), Lang::Zh);
    assert_eq!(Lang::pick(None, env(&[("QUEQIAO_LANG", "en"), ("LC_ALL", "zh_CN")])), Lang::En);
    assert_eq!(Lang::pick(Some("zh"), env(&[("QUEQIAO_LANG", "en")])), Lang::Zh);
    assert_eq!(Lang::pick(Some("C"), env(&[("LANG", "zh_CN")])), Lang::En);
    assert_eq!(Lang::pick(None, env(&[("LC_ALL", "de_DE.UTF-8"), ("LANG", "zh_CN")])), Lang::En);
}

/// A language that does not exist is an error of the command line, told in that of the locale.
#[test]
fn unknown_language_leaves_that_of_locale() {
    let env = |name: &str| (name == "LANG").then(|| "zh_CN.UTF-8".to_owned());
    assert_eq!(Lang::pick(Some("fr"), env), Lang::Zh);
    for (text, lang) in
        [("zh-CN", Some(Lang::Zh)), ("EN", Some(Lang::En)), ("fr", None), ("", None), ("zhx", None)]
    {
        assert_eq!(Lang::parse(text), lang, "{text}");
    }
}

#[test]
fn lists_are_separated_as_language_does() {
    let phrase = Phrase::new("refused-nearest").with("names", "JACK, 一棵树");
    assert_eq!(Strings::new(Lang::En).say(&phrase), "Similar names: JACK, 一棵树");
    assert_eq!(Strings::new(Lang::Zh).say(&phrase), "相近的名字：JACK、一棵树");
}

#[test]
fn usage_of_chat_command_is_in_language() {
    assert_eq!(Strings::new(Lang::En).usage("/to CONTACT"), "/to CONTACT");
    assert_eq!(Strings::new(Lang::Zh).usage("/to CONTACT"), "/to 联系人");
    assert_eq!(Strings::new(Lang::Zh).usage("/block NAME"), "/block 名字");
}

#[test]
fn chinese_has_no_space_between_han_characters() {
    let strings = Strings::new(Lang::Zh);
    let say = |who: &str| {
        let own = Phrase::new("chat-own").with("who", who).with("time", "12:03:05");
        strings.say(&own)
    };
    assert_eq!(say("TOM"), "发给 TOM 12:03:05：");
    assert_eq!(say("一棵树"), "发给一棵树 12:03:05：");
    assert_eq!(say("访客 1"), "发给访客 1 12:03:05：");
    let next = strings.say(&Phrase::new("join-next").with("as", " --as 武大郎").with("at", ""));
    assert_eq!(next, "接下来：queqiao chat --as 武大郎，或 queqiao send --as 武大郎 名字 \"你好\"");
    let text = "两 个字 \u{2068}";
    let receipt = Phrase::new("chat-receipt").with("who", "王五").with("text", text);
    assert_eq!(strings.say(&receipt), "✓✓ 已送达王五：“两 个字 \\u{2068}”");
}
