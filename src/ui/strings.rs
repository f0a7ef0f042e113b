//! Texts for users: one table per language, embedded in the program.

use std::borrow::Cow;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

use crate::base::{Phrase, is_han, sanitize_line};

const EN: &str = include_str!("strings/en.ftl");
const ZH: &str = include_str!("strings/zh.ftl");

/// Name of the only argument that is a number, for singular and plural. All others are strings: a
/// name `007` must not become 7.
const NUMBER_ARG: &str = "count";

/// Arguments that are lists of names. Chinese separates them with `、`.
const LIST_ARGS: [&str; 6] = ["names", "known", "near", "addresses", "values", "arguments"];

/// Marks that the bundle puts around arguments in Chinese (Unicode §23.3), so that
/// [`without_han_spaces`] finds them. Sanitized arguments have none.
const ARG_BEGINS: char = '\u{2068}';
const ARG_ENDS: char = '\u{2069}';

/// Arguments that may be errors of the system.
const CAUSE_ARGS: [&str; 2] = ["cause", "why"];
/// Start of an error of name resolution, as the standard library formats it. The cause follows in
/// the language of the system.
const LOOKUP_ERROR: &str = "failed to lookup address information";
/// Text before the number of a system error, as the standard library formats it.
const OS_ERROR: &str = " (os error ";

/// Environment variable for the language of this program.
pub const LANG_VARIABLE: &str = "QUEQIAO_LANG";
/// Environment variables for the locale; the first that is set and not empty is used (POSIX,
/// "Internationalization Variables").
const LOCALE_VARIABLES: [&str; 3] = ["LC_ALL", "LC_MESSAGES", "LANG"];

/// Language of the user interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

impl Lang {
    /// Chooses the language: `flag` (`--lang`), else `QUEQIAO_LANG`, else the locale: `LC_ALL`,
    /// `LC_MESSAGES`, `LANG`. A locale of another language is English. A flag or `QUEQIAO_LANG` of
    /// another language does not count.
    pub fn pick(flag: Option<&str>, env: impl Fn(&str) -> Option<String>) -> Lang {
        let locale = || LOCALE_VARIABLES.iter().filter_map(|name| env(name)).find(|value| !value.is_empty());
        let own = flag.and_then(Lang::parse).or_else(|| Lang::parse(&env(LANG_VARIABLE)?));
        own.or_else(|| Lang::parse(&locale()?)).unwrap_or_default()
    }

    /// Parses a language or a locale such as `zh_CN.UTF-8`; `C` and `POSIX` are English. Returns
    /// `None` for other languages.
    pub fn parse(text: &str) -> Option<Lang> {
        let code = text.split(['_', '-', '.', '@']).next()?.to_ascii_lowercase();
        match code.as_str() {
            "en" | "c" | "posix" => Some(Lang::En),
            "zh" => Some(Lang::Zh),
            _ => None,
        }
    }
}

/// Texts of one language.
pub struct Strings {
    lang: Lang,
    bundle: FluentBundle<FluentResource>,
}

impl Strings {
    /// Loads the texts of `lang`.
    pub fn new(lang: Lang) -> Strings {
        let (source, id) = match lang {
            Lang::En => (EN, "en"),
            Lang::Zh => (ZH, "zh"),
        };
        let resource =
            FluentResource::try_new(source.to_owned()).expect("the tests parse the embedded tables");
        let id: LanguageIdentifier = id.parse().expect("both are language codes");
        let mut bundle = FluentBundle::new_concurrent(vec![id]);
        bundle.set_use_isolating(lang == Lang::Zh);
        bundle.add_resource(resource).expect("keys of an embedded table are unique");
        Strings { lang, bundle }
    }

    /// Returns the language.
    pub const fn lang(&self) -> Lang {
        self.lang
    }

    /// Returns the text of `key`, if it exists. It must not need arguments.
    pub fn find(&self, key: &str) -> Option<String> {
        let pattern = self.bundle.get_message(key)?.value()?;
        Some(self.bundle.format_pattern(pattern, None, &mut Vec::new()).into_owned())
    }

    /// Returns the usage of a chat command, with its placeholders in this language.
    pub fn usage(&self, usage: &str) -> String {
        let contact = self.say(&Phrase::new("usage-contact"));
        usage.replace("CONTACT", &contact).replace("NAME", &self.say(&Phrase::new("usage-name")))
    }

    /// Formats a phrase as one line, with sanitized arguments. A key without a text is shown as it
    /// is.
    pub fn say(&self, phrase: &Phrase) -> String {
        let Some(pattern) = self.bundle.get_message(phrase.key()).and_then(|message| message.value()) else {
            return sanitize_line(&phrase.to_string()).into_owned();
        };
        let mut args = FluentArgs::new();
        for (name, value) in phrase.args() {
            args.set(*name, self.argument(name, value));
        }
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(&args), &mut errors);
        match self.lang {
            Lang::En => text.into_owned(),
            Lang::Zh => without_han_spaces(&text),
        }
    }

    fn argument<'a>(&self, name: &str, value: &'a str) -> FluentValue<'a> {
        match value.parse::<u64>() {
            Ok(number) if name == NUMBER_ARG => FluentValue::from(number),
            _ if self.lang == Lang::Zh && LIST_ARGS.contains(&name) => {
                FluentValue::String(sanitize_line(value).replace(", ", "、").into())
            }
            _ if CAUSE_ARGS.contains(&name) => {
                let cause = self.system_error(value).map(Cow::Owned);
                FluentValue::String(cause.unwrap_or_else(|| sanitize_line(value)))
            }
            _ => FluentValue::String(sanitize_line(value)),
        }
    }

    /// Translates an error of the system, which is in English. Returns `None` for other texts. The
    /// numbers of errors differ between systems; those of Linux are known.
    fn system_error(&self, text: &str) -> Option<String> {
        if self.lang == Lang::En {
            return None;
        }
        if text.starts_with(LOOKUP_ERROR) {
            return self.find("os-error-lookup");
        }
        let number = text.strip_suffix(')')?.rsplit_once(OS_ERROR)?.1;
        let cause = self.find(&format!("os-error-{number}")).filter(|_| cfg!(target_os = "linux"))?;
        Some(format!("{cause}（os error {number}）"))
    }
}

/// Removes the marks around arguments, and the space between an argument and the sentence where
/// both sides are Chinese. The sentence has that space for Latin letters and digits.
///
/// An argument behind a Latin word is part of a command, as in `queqiao chat --as 武大郎 名字`. The
/// space behind it stays.
fn without_han_spaces(marked: &str) -> String {
    let is_mark = |c: char| c == ARG_BEGINS || c == ARG_ENDS;
    let mut text = String::with_capacity(marked.len());
    let mut before = None;
    let mut is_of_command = false;
    let mut rest = marked.chars();
    while let Some(c) = rest.next() {
        if c == ARG_BEGINS {
            is_of_command = text.trim_end().ends_with(|c: char| c.is_ascii_alphanumeric());
        }
        let next = rest.clone().next();
        let is_at_argument = next == Some(ARG_BEGINS) || (before == Some(ARG_ENDS) && !is_of_command);
        let is_inside_chinese = || {
            let after = rest.clone().find(|c| !is_mark(*c));
            text.chars().next_back().is_some_and(is_chinese) && after.is_some_and(is_chinese)
        };
        let is_left_out = is_mark(c) || (c == ' ' && is_at_argument && is_inside_chinese());
        if !is_left_out {
            text.push(c);
        }
        before = Some(c);
    }
    text
}

/// Whether Chinese writes `c` without spaces: Han characters and full-width punctuation.
fn is_chinese(c: char) -> bool {
    is_han(c) || matches!(c, '\u{3000}'..='\u{303f}' | '\u{ff01}'..='\u{ff60}')
}

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Strings").field(&self.lang).finish()
    }
}

#[cfg(test)]
mod tests;
