//! The ban list: phrases that comments, test names, documents and texts for people do not use.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::baseline::Offence;
use crate::files::{RustFile, Sources};
use crate::prose::{self, Gap, Word};

/// A banned phrase.
pub struct Phrase {
    /// Its name in the baseline.
    pub name: &'static str,
    /// Its forms, in lower case.
    forms: &'static [&'static str],
    /// When a form counts.
    when: When,
    /// The words to write.
    pub instead: &'static str,
}

/// When a form counts.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Always,
    /// Unless the following word is `as` or `that`.
    NoComparison,
    /// Unless a thing follows on which something is: `goes on the wire`.
    NoPlace,
    /// As first words of a sentence that is not a question.
    First,
    /// Likewise, where none of the `First` forms begins.
    FirstOther,
    /// As first word of a sentence whose subject is a clause, with `is`, `has` or `was` after it.
    FirstAsSubject,
    /// In texts for users only.
    ForUsers,
}

/// Words after `That` which show that a clause follows, and not the thing meant.
const CLAUSE_STARTS: &[&str] = &[
    "a", "an", "the", "no", "nobody", "nothing", "somebody", "it", "its", "they", "their", "there", "he",
    "she", "we", "you", "one", "what", "each", "every", "all", "some", "many", "most", "neither", "both",
];

/// Words that make `What` one of the listed forms.
const AFTER_WHAT: &[&str] = &["is", "was", "are", "has", "comes", "a", "the"];

/// Words after `goes on` that name a place.
const PLACES: &[&str] =
    &["a", "an", "the", "its", "their", "this", "that", "one", "disk", "udp", "tcp", "top"];

macro_rules! phrases {
    ($($name:literal $when:ident [$($form:literal),+] $instead:literal)+) => {
        &[$(Phrase { name: $name, forms: &[$($form),+], when: When::$when, instead: $instead }),+]
    };
}

/// The ban list.
pub const BAN_LIST: &[Phrase] = phrases! {
    "whoever" Always ["whoever", "whomever"] "the caller, the sender, any process that"
    "nobody" Always ["nobody"] "no caller, no member, nothing; or turn the sentence round"
    "somebody" Always ["somebody", "anybody"] "a member, a peer, another process"
    "that-is-none" Always ["that is none", "which is none", "are none"] "invalid, malformed, unknown, missing"
    "so-many" NoComparison ["so many", "so much", "so few", "so long", "so often", "so soon", "so late"]
        "this many, this long, as often as …; the constant's name"
    "anew" Always ["anew"] "again, from scratch, new"
    "is-told" Always ["is told", "are told", "was told", "were told", "be told"]
        "receives, is notified, sees; or name the message"
    "what-first" First
        ["what is", "what was", "what are", "what has", "what comes", "what a", "what the"]
        "a noun: Input, Result, State, Limit, Reason"
    "what-clause" FirstOther ["what"] "the noun that the clause stands for"
    "that-first" FirstAsSubject ["that"] "the noun that the clause stands for"
    "all-the-same" Always ["all the same"] "anyway, still"
    "in-vain" Always ["in vain"] "without a reply, without effect"
    "is-to-be" Always ["is to be", "are to be", "was to be", "were to be"] "must, should, will; or the imperative"
    "beside" Always ["beside"] "next to, in addition to, besides; for TCP: fallback"
    "seldom" Always ["seldom"] "rarely, infrequently"
    "says-so" Always ["says so", "said so"] "reports it, logs it, returns an error"
    "of-its-own" Always ["of its own", "of one's own"] "its own …, a separate …"
    "meanwhile" Always ["meanwhile"] "in the meantime, while …, concurrently"
    "stands" Always ["stands", "stand"] "is, is stored, is listed, is defined"
    "goes-on" NoPlace ["goes on", "go on"] "continues, resumes"
    "shakes-hands" Always ["shakes hands", "shake hands"] "performs a handshake, handshakes"
    "is-no" Always ["is no failure", "is no error", "is no name"] "is not an error; is not a valid name"
    "was-said" Always ["it was said", "what was said"] "was sent, was reported; the history"
    "face" Always ["face", "faces"] "frontend"
    "house" Always ["house", "floor", "floors", "room", "rooms"]
        "crate, layer, module; for what is free: space, capacity"
    "planted-bug" Always ["planted bug", "planted bugs"] "mutant"
    "trouble" Always ["trouble", "harm"] "error, failure, damage"
    "those-who" Always ["the one who", "the ones that", "those who"] "the member that, processes that"
    "ever-more" Always ["ever more", "ever again"] "increasingly, again"
    "letter" ForUsers ["letter", "letters"] "message"
};

/// Documents that users read. In the others `letter` is a word of the protocol.
const USER_DOCUMENTS: &[&str] = &[
    "README.md",
    "README.zh-CN.md",
    "docs/commands.md",
    "docs/guests.md",
    "docs/limits.md",
    "docs/operating.md",
    "docs/paths.md",
    "docs/troubleshooting.md",
];

/// Lines that stay as they are.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        file: "src/ui/strings/en.ftl",
        phrase: "letter",
        part: "letters, digits",
        reason: "letters of an alphabet, in names",
    },
    Exception {
        file: "src/ui/strings/en.ftl",
        phrase: "letter",
        part: "a letter or a digit",
        reason: "letters of an alphabet, in names",
    },
    Exception {
        file: "src/ui/strings/en.ftl",
        phrase: "letter",
        part: "letters and digits",
        reason: "letters of an alphabet, in codes of invitations",
    },
    Exception {
        file: "docs/commands.md",
        phrase: "letter",
        part: "letters, digits",
        reason: "letters of an alphabet, in names",
    },
];

/// A line that is right for good.
struct Exception {
    file: &'static str,
    phrase: &'static str,
    /// A part of the line.
    part: &'static str,
    reason: &'static str,
}

/// A phrase in a text.
pub struct Found {
    pub phrase: &'static Phrase,
    pub line: usize,
    pub form: &'static str,
}

/// The forms of all phrases by their first word.
static FORMS_BY_FIRST_WORD: LazyLock<BTreeMap<&str, Vec<(&Phrase, &str)>>> = LazyLock::new(|| {
    let mut forms: BTreeMap<&str, Vec<(&Phrase, &str)>> = BTreeMap::new();
    for phrase in BAN_LIST {
        for form in phrase.forms {
            forms.entry(form.split(' ').next().unwrap_or(form)).or_default().push((phrase, form));
        }
    }
    forms
});

/// Returns the banned phrases in `words`; `for_users`: the text is for users.
pub fn find(words: &[Word], for_users: bool) -> Vec<Found> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let forms = FORMS_BY_FIRST_WORD.get(word.text.as_str()).into_iter().flatten();
        for (phrase, form) in forms.filter(|(phrase, form)| matches(words, at, form, phrase.when, for_users))
        {
            found.push(Found { phrase, line: word.line, form });
        }
    }
    found
}

fn matches(words: &[Word], at: usize, form: &str, when: When, for_users: bool) -> bool {
    let rest = &words[at..];
    let mut length = 0;
    for part in form.split(' ') {
        let is_there = rest
            .get(length)
            .is_some_and(|word| is_word(&word.text, part) && (length == 0 || word.gap == Gap::Space));
        if !is_there {
            return false;
        }
        length += 1;
    }
    let next = rest.get(length).filter(|word| word.gap != Gap::Sentence);
    match when {
        When::Always => true,
        When::NoComparison => !next.is_some_and(|word| word.text == "as" || word.text == "that"),
        When::NoPlace => {
            !next.is_some_and(|word| word.gap == Gap::Space && PLACES.contains(&word.text.as_str()))
        }
        When::First => rest[0].is_capital && !rest[0].in_question,
        When::FirstOther => {
            let is_other =
                next.is_none_or(|word| word.gap != Gap::Space || !AFTER_WHAT.contains(&word.text.as_str()));
            rest[0].is_capital && !rest[0].in_question && is_other
        }
        When::FirstAsSubject => rest[0].is_capital && begins_with_clause(&rest[1..]),
        When::ForUsers => for_users,
    }
}

fn is_word(word: &str, part: &str) -> bool {
    word == part || (part == "one's" && word == "one")
}

/// Whether words after `That` are a clause and its verb: `nobody listens there is …`.
fn begins_with_clause(words: &[Word]) -> bool {
    let end = words.iter().position(|word| word.gap == Gap::Sentence).unwrap_or(words.len());
    let Some((first, rest)) = words[..end].split_first() else { return false };
    let is_plural = first.text.ends_with('s')
        && !["ss", "us", "is", "as"].iter().any(|singular| first.text.ends_with(singular))
        && first.text != "was";
    (is_plural || CLAUSE_STARTS.contains(&first.text.as_str()))
        && rest.iter().any(|word| matches!(word.text.as_str(), "is" | "has" | "was"))
}

/// Returns the banned phrases of all texts, but for the exceptions.
pub fn offences(sources: &Sources) -> Vec<Offence> {
    let mut offences = all(sources);
    offences.retain(|offence| !EXCEPTIONS.iter().any(|exception| exception.covers(sources, offence)));
    offences
}

impl Exception {
    fn covers(&self, sources: &Sources, offence: &Offence) -> bool {
        (self.file, self.phrase) == (offence.file.as_str(), offence.what)
            && sources.line(self.file, offence.line).is_some_and(|line| line.contains(self.part))
    }
}

fn all(sources: &Sources) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, file) in &sources.rust {
        add(&mut offences, path, &prose::of_comments(&file.comments), false);
        for words in test_names(file) {
            add(&mut offences, path, &words, false);
        }
    }
    for (path, text) in &sources.texts {
        let is_fluent = path.ends_with(".ftl");
        let words = if is_fluent { prose::of_fluent(text) } else { prose::of_markdown(text) };
        add(&mut offences, path, &words, is_fluent || USER_DOCUMENTS.contains(&path.as_str()));
    }
    offences
}

fn test_names(file: &RustFile) -> impl Iterator<Item = Vec<Word>> {
    let tests = file.facts.functions.iter().filter(|function| function.is_test);
    tests.map(|test| prose::of_name(&test.name, test.line))
}

fn add(offences: &mut Vec<Offence>, path: &str, words: &[Word], for_users: bool) {
    for found in find(words, for_users) {
        offences.push(Offence {
            file: path.to_string(),
            rule: "phrase",
            what: found.phrase.name,
            line: found.line,
            advice: format!("`{}`: write {}", found.form, found.phrase.instead),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::REPOSITORY;

    fn comment(text: &str) -> Vec<(usize, &'static str)> {
        let sources = Sources::made_up(&[("src/a.rs", text)]);
        offences(&sources).into_iter().map(|offence| (offence.line, offence.what)).collect()
    }

    fn prose_of(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let sources = Sources::made_up(&[(path, text)]);
        offences(&sources).into_iter().map(|offence| (offence.line, offence.what)).collect()
    }

    #[test]
    fn each_form_is_found_in_each_kind_of_comment() {
        for phrase in BAN_LIST.iter().filter(|phrase| phrase.when != When::ForUsers) {
            for form in phrase.forms {
                let form = format!("{}{}", form[..1].to_uppercase(), &form[1..]);
                let rest =
                    if phrase.when == When::FirstAsSubject { "no relay answers is an error" } else { "x" };
                for marks in ["//!", "//", "///", "/**"] {
                    let end = if marks == "/**" { " */" } else { "" };
                    let text = format!("{marks} One. {form} {rest}.{end}\nfn f() {{}}");
                    // `What was said` is two of them.
                    assert!(comment(&text).contains(&(1, phrase.name)), "{text}");
                }
                let text = format!("# Head\n\n{form} {rest}.");
                assert!(prose_of("docs/a.md", &text).contains(&(3, phrase.name)), "{text}");
            }
        }
    }

    #[test]
    fn each_form_is_found_in_test_names() {
        for phrase in BAN_LIST.iter().filter(|phrase| phrase.when != When::ForUsers) {
            let rest = if phrase.when == When::FirstAsSubject { "no_relay_answers_is_told" } else { "x" };
            for form in phrase.forms.iter().filter(|form| !form.contains('\'')) {
                let name = format!("{}_{rest}", form.replace(' ', "_"));
                let found = comment(&format!("#[test]\nfn {name}() {{}}"));
                assert!(found.contains(&(2, phrase.name)), "{name}");
                assert_eq!(comment(&format!("fn {name}() {{}}")), []);
            }
        }
        let in_macro = "proptest! { #[test] fn nobody_is_left(a in 0..1) { } }";
        assert_eq!(comment(in_macro), [(1, "nobody")]);
    }

    #[test]
    fn phrase_is_found_across_lines() {
        assert_eq!(comment("/// The sender is\n/// told.\nfn f() {}"), [(1, "is-told")]);
        assert_eq!(comment("//! All\n//! the\n//! same"), [(1, "all-the-same")]);
        assert_eq!(prose_of("README.md", "It goes\non."), [(1, "goes-on")]);
        assert_eq!(comment("/// The sender is\n\n/// told.\nfn f() {}"), []);
        assert_eq!(comment("/// - The sender is\n/// - told.\nfn f() {}"), []);
    }

    #[test]
    fn case_possessive_and_emphasis_do_not_hide_phrase() {
        assert_eq!(comment("// NOBODY"), [(1, "nobody")]);
        assert_eq!(comment("// at whoever's end, whoever’s"), [(1, "whoever"), (1, "whoever")]);
        assert_eq!(comment("// the sender **is** told"), [(1, "is-told")]);
        assert_eq!(comment("// (nobody)"), [(1, "nobody")]);
    }

    #[test]
    fn so_is_allowed_before_as_and_that() {
        assert_eq!(comment("// so many as, so long that, so much as"), []);
        assert_eq!(comment("// so many of them, so long."), [(1, "so-many"), (1, "so-many")]);
        assert_eq!(comment("// so long. That path"), [(1, "so-many")]);
    }

    #[test]
    fn first_words_what_and_that_are_found() {
        assert_eq!(comment("// It shows what is there, and that nobody is."), [(1, "nobody")]);
        assert_eq!(comment("// A. What is missed, and why."), [(1, "what-first")]);
        assert_eq!(comment("// A. What waits is missed."), [(1, "what-clause")]);
        assert_eq!(comment("// What is missing? An ack."), []);
        assert_eq!(comment("// That path is closed. That is an error."), []);
        assert_eq!(comment("// That no relay answers is an error."), [(1, "that-first")]);
        assert_eq!(comment("// That packets are lost was seen."), [(1, "that-first")]);
    }

    #[test]
    fn neighbours_of_banned_phrases_pass() {
        for text in [
            "// besides, understand, a roomy surface, warehouse, harmless, standard, a seldomly",
            "// the member is then told",
            "// it is, told",
            "// `nobody` and ``is ` told`` and [a name](nobody.md)",
            "/// ```\n/// nobody is told\n/// ```\nfn f() {}",
            "const A: &str = \"// nobody is told\";",
            "fn nobody() { let whoever = 1; }",
            "// the letter goes on the wire",
        ] {
            assert_eq!(comment(text), [], "{text}");
        }
        assert_eq!(prose_of("docs/a.md", "```\nnobody\n```\n`nobody`"), []);
    }

    #[test]
    fn letter_is_for_code_and_protocol() {
        assert_eq!(
            prose_of("README.md", "A letter, `letter`\n\n    and letters"),
            [(1, "letter"), (3, "letter")]
        );
        assert_eq!(prose_of("docs/performance.md", "A letter"), []);
        assert_eq!(comment("// a letter"), []);
        let fluent =
            "# a letter\nletter-sent = { $letter ->\n    [one] one letter\n   *[other] {\" \"}Letters\n}\n";
        assert_eq!(prose_of("src/ui/strings/en.ftl", fluent), [(3, "letter"), (4, "letter")]);
    }

    #[test]
    fn each_exception_is_needed_and_has_a_reason() {
        let all = all(&REPOSITORY);
        for exception in EXCEPTIONS {
            let Exception { file, phrase, part, reason } = exception;
            let is_needed = all.iter().any(|offence| exception.covers(&REPOSITORY, offence));
            assert!(is_needed && !reason.is_empty(), "remove the exception of {phrase} in {file}: {part}");
        }
    }

    #[test]
    fn exception_covers_its_lines_only() {
        let path = "src/ui/strings/en.ftl";
        assert_eq!(prose_of(path, "a = 32 letters, digits\nb = a letter"), [(2, "letter")]);
        assert_eq!(prose_of(path, "a = nobody has letters, digits"), [(1, "nobody")]);
        assert_eq!(prose_of("src/ui/strings/zh.ftl", "a = letters, digits"), [(1, "letter")]);
    }
}
