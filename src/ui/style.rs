//! Formats letters and notices as lines of a screen.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::base::sanitize_line;

/// Indentation of every line of a letter but its first. Headers begin at the margin, so no text can
/// look like one.
const INDENT: &str = "    ";
/// Minimum width for wrapping, in cells: below it too little is left next to header and
/// indentation.
const WIDTH_MIN: usize = 20;
/// Green, among the same colours: the user's own messages.
const OWN: &str = "\x1b[32m";
/// Faint (SGR 2): notices stay in the background.
const FAINT: &str = "\x1b[2m";
/// Black on cyan: readable on dark and light screens, and among the 16 colours of every terminal
/// (ECMA-48 SGR).
const INCOMING: &str = "\x1b[30;46m";
const RESET: &str = "\x1b[0m";

/// Use of colours (`--color`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless disabled by the environment.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to use colours on an output. `Auto` requires a terminal, and respects `NO_COLOR`
    /// (no-color.org: set and not empty) and `TERM=dumb`.
    pub fn enabled(self, is_terminal: bool, env: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let plain = env("NO_COLOR").is_some_and(|value| !value.is_empty());
                is_terminal && !plain && env("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

impl std::str::FromStr for Color {
    type Err = ();

    fn from_str(text: &str) -> Result<Color, ()> {
        match text {
            "auto" => Ok(Color::Auto),
            "always" => Ok(Color::Always),
            "never" => Ok(Color::Never),
            _ => Err(()),
        }
    }
}

/// Capabilities of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether it shows colours.
    pub color: bool,
    /// Width in cells; `None` if it is not a terminal. Then lines are not wrapped.
    pub width: Option<usize>,
}

/// Kind of an output text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// A received letter: on a coloured background.
    Incoming,
    /// A message of the user's own.
    Own,
    /// A notice about letters.
    Notice,
}

/// Text for standard output: a header followed by a body, both sanitized. Only the body may contain
/// newlines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StyledText {
    /// Kind of the text.
    pub kind: TextKind,
    /// Sender and time, written by this program.
    pub header: String,
    /// Text written by a peer.
    pub text: String,
}

impl StyledText {
    /// Formats the text as lines, each with a newline at its end. Every line of the body but the
    /// first is indented, including wrapped ones.
    pub fn render(&self, style: Style) -> String {
        let wrap_at = style.width.filter(|width| *width >= WIDTH_MIN);
        let (start, end) = match self.kind {
            TextKind::Incoming if style.color => (INCOMING, RESET),
            TextKind::Own if style.color => (OWN, RESET),
            TextKind::Notice if style.color => (FAINT, RESET),
            _ => ("", ""),
        };
        let mut lines = String::with_capacity(self.header.len() + self.text.len() + 16);
        for line in self.lines(wrap_at) {
            lines.extend([start, line.as_str(), end, "\n"]);
        }
        lines
    }

    fn lines(&self, wrap_at: Option<usize>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut margin = self.header.as_str();
        for line in self.text.trim_end_matches('\n').split('\n') {
            match wrap_at {
                Some(width) => lines.extend(wrap_line(margin, INDENT, line, width)),
                None => lines.push(format!("{margin}{line}")),
            }
            margin = INDENT;
        }
        lines
    }
}

/// Returns the lines of a notice. One line is wrapped; a text that is given back stays as it is.
pub fn notice(words: &str, style: Style) -> String {
    if !words.contains('\n') {
        let text = words.to_owned();
        return StyledText { kind: TextKind::Notice, header: String::new(), text }.render(style);
    }
    let (start, end) = if style.color { (FAINT, RESET) } else { ("", "") };
    words.lines().map(|line| format!("{start}{line}{end}\n")).collect()
}

/// Returns `text` as one sanitized line.
pub(super) fn one_line(text: &str) -> String {
    sanitize_line(text).into_owned()
}

/// Breaks one line into lines of at most `width` cells: after the last space or next to the last
/// wide character that fits, else between two characters. The first line begins with `margin`, the
/// others with `indent`.
pub fn wrap_line(margin: &str, indent: &str, line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = margin.to_owned();
    let mut cells = margin.width_cjk();
    let mut begin = current.len();
    let mut break_at = None;
    let mut before = " ";
    // Counts cells in CJK mode: an ambiguous character may take two, and a line that is too long
    // would break the indentation.
    for cluster in line.graphemes(true) {
        if current.len() > begin && may_break(before, cluster) {
            break_at = Some(current.len());
        }
        let wide = cluster.width_cjk();
        while cells + wide > width && (current.len() > begin || begin != indent.len()) {
            let rest = break_at.take().map(|at: usize| current.split_off(at)).unwrap_or_default();
            lines.push(std::mem::replace(&mut current, indent.to_owned()));
            begin = current.len();
            current.push_str(&rest);
            cells = current.width_cjk();
        }
        current.push_str(cluster);
        cells += wide;
        before = cluster;
    }
    lines.push(current);
    lines
}

/// Whether a line may end between these two characters: after a space, and next to a wide character
/// unless the mark there belongs to the other one (GB/T 15834, JIS X 4051).
fn may_break(before: &str, after: &str) -> bool {
    let is_one_of = |cluster: &str, marks: &str| cluster.chars().next().is_some_and(|c| marks.contains(c));
    // Ambiguous characters, such as Greek ones, belong to words.
    let is_wide = |cluster: &str| cluster.width() > 1;
    let is_next_to_wide = is_wide(before) || is_wide(after) || is_one_of(after, OPENING) && before != " ";
    match before {
        " " => after != " ",
        _ if is_one_of(after, CLOSING) || is_one_of(before, OPENING) || after == " " => false,
        _ if is_one_of(before, ASCII_OPENING) => false,
        _ => is_next_to_wide && !is_ascii_mark(after),
    }
}

/// Marks that no line begins with.
const CLOSING: &str = "，。；：、！？）”’》】」』…";
/// Marks that no line ends with.
const OPENING: &str = "（“‘《【「『";

/// Marks that belong to the word after them.
const ASCII_OPENING: &str = "([{<";

/// Whether a mark such as `.` or `)` ends a word or sentence before it.
fn is_ascii_mark(cluster: &str) -> bool {
    [",", ".", ";", ":", "!", "?", ")", "]", "}"].contains(&cluster)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letter(text: &str) -> StyledText {
        StyledText { kind: TextKind::Incoming, header: "JACK: ".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn second_line_is_indented_and_cannot_look_like_header() {
        let plain = letter("hi\nTOM: forged\n\n").render(Style::default());
        assert_eq!(plain, "JACK: hi\n    TOM: forged\n");
    }

    #[test]
    fn wrapped_line_is_indented_too() {
        let style = Style { color: false, width: Some(20) };
        let text = "one two three four TOM: forged";
        assert_eq!(letter(text).render(style), "JACK: one two three \n    four TOM: forged\n");
        assert_eq!(
            letter("鹊桥鹊桥鹊桥鹊桥鹊桥").render(style),
            "JACK: 鹊桥鹊桥鹊桥鹊\n    桥鹊桥\n",
            "wide characters take two cells and break anywhere"
        );
    }

    #[test]
    fn chinese_breaks_at_characters_not_at_the_space_before() {
        let style = Style { color: false, width: Some(24) };
        let lines = |text: &str| notice(text, style);
        assert_eq!(
            lines("已切换到 TCP，因为没有响应，稍后再试"),
            "已切换到 TCP，因为没有响\n    应，稍后再试\n"
        );
        assert_eq!(
            lines("输入 /help 查看全部命令（或按 Ctrl-D）"),
            "输入 /help 查看全部命令\n    （或按 Ctrl-D）\n"
        );
        assert_eq!(
            lines("要把“你好吗”发给 杰克吗？“再”按回车"),
            "要把“你好吗”发给 杰克\n    吗？“再”按回车\n"
        );
        assert_eq!(lines("保留多久，以后再删除吗 [默认]"), "保留多久，以后再删除吗 \n    [默认]\n");
        assert_eq!(lines("one, two: three, four. Five"), "one, two: three, four. \n    Five\n");
    }

    #[test]
    fn colours_enclose_each_line_and_end_before_its_newline() {
        let painted = letter("a\nb").render(Style { color: true, width: None });
        assert_eq!(painted, "\x1b[30;46mJACK: a\x1b[0m\n\x1b[30;46m    b\x1b[0m\n");
    }

    #[test]
    fn closing_mark_does_not_begin_a_line() {
        let style = Style { color: false, width: Some(20) };
        assert_eq!(letter("鹊桥鹊桥鹊桥鹊，桥").render(style), "JACK: 鹊桥鹊桥鹊桥\n    鹊，桥\n");
        assert_eq!(letter("鹊桥鹊桥鹊桥，鹊").render(style), "JACK: 鹊桥鹊桥鹊桥，\n    鹊\n");
    }

    #[test]
    fn own_messages_and_notices_have_other_colours() {
        let own = StyledText { kind: TextKind::Own, ..letter("a") };
        let style = Style { color: true, width: None };
        assert_eq!(own.render(style), "\x1b[32mJACK: a\x1b[0m\n");
        assert_eq!(own.render(Style::default()), "JACK: a\n");
        assert_eq!(notice("a\nb", style), "\x1b[2ma\x1b[0m\n\x1b[2mb\x1b[0m\n");
        let narrow = Style { color: false, width: Some(20) };
        assert_eq!(notice("one two three four five", narrow), "one two three four \n    five\n");
        assert_eq!(notice("one two three four five", Style::default()), "one two three four five\n");
    }

    #[test]
    fn colour_follows_flag_then_no_color_then_terminal() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|p| p.0 == name).map(|p| p.1.to_owned())
        };
        assert!(Color::Auto.enabled(true, env(&[("TERM", "xterm")])));
        assert!(Color::Auto.enabled(true, env(&[("NO_COLOR", "")])));
        assert!(!Color::Auto.enabled(true, env(&[("NO_COLOR", "1")])));
        assert!(!Color::Auto.enabled(true, env(&[("TERM", "dumb")])));
        assert!(!Color::Auto.enabled(false, env(&[])));
        assert!(Color::Always.enabled(false, env(&[("NO_COLOR", "1")])));
        assert!(!Color::Never.enabled(true, env(&[])));
        assert_eq!("always".parse(), Ok(Color::Always));
        assert_eq!("yes".parse::<Color>(), Err(()));
    }

    proptest! {
        #[test]
        fn wrapping_loses_nothing_and_fits(text in "[a-z 鹊，“]{0,120}", width in 20usize..60) {
            let rendered = letter(&text).render(Style { color: false, width: Some(width) });
            let body: Vec<&str> = rendered.lines().collect();
            prop_assert!(body.iter().all(|line| line.width_cjk() <= width));
            prop_assert!(body[1..].iter().all(|line| line.starts_with(INDENT)));
            let joined: String = body.iter().map(|line| &line[4..]).collect();
            prop_assert_eq!(format!("JACK{joined}"), format!("JACK: {text}"));
        }
    }
}
