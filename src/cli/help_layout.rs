//! Lays out a help text for the width of a terminal. clap breaks lines at spaces only, and Chinese
//! has none, so it writes each text of a Chinese help on one line, and the lines are broken here.

use crate::ui::style::wrap_line;

/// Width where output is no terminal, as clap has it.
pub(super) const DEFAULT_WIDTH: usize = 100;
/// Below this width lines are not broken: too little is left next to the options.
const WIDTH_MIN: usize = 20;
/// Indentation of texts below their options, as clap has it.
const INDENT: usize = 10;
/// Share of the width that options may take next to their texts, in percent, as clap has it.
const OPTIONS_SHARE_MAX: usize = 40;

/// Breaks the lines of a help text, which may have escape sequences of colours.
pub(super) fn lay_out(help: &str, width: usize) -> String {
    if width < WIDTH_MIN {
        return help.to_owned();
    }
    let lines: Vec<&str> = help.lines().collect();
    let mut laid_out = String::new();
    for section in lines.chunk_by(|before, after| is_entry(before) && is_entry(after)) {
        let entries: Vec<Entry<'_>> = section.iter().map(|line| Entry::new(line)).collect();
        let is_below = entries.iter().any(|entry| entry.needs_own_line(width));
        for entry in &entries {
            for line in entry.lines(width, is_below) {
                laid_out.extend([line.trim_end(), "\n"]);
            }
        }
    }
    laid_out
}

/// Whether a line belongs to a list of options or commands.
fn is_entry(line: &str) -> bool {
    line.starts_with("  ")
}

/// A line of a list, or a paragraph, which has no options.
struct Entry<'a> {
    /// The options or the command, with the spaces behind them.
    options: &'a str,
    text: &'a str,
}

impl<'a> Entry<'a> {
    fn new(line: &'a str) -> Entry<'a> {
        let begin = line.len() - line.trim_start().len();
        let gap = if is_entry(line) { line[begin..].find("  ").map(|at| begin + at) } else { None };
        let split = gap.map_or(0, |gap| line.len() - line[gap..].trim_start().len());
        let (options, text) = line.split_at(split);
        Entry { options, text }
    }

    fn needs_own_line(&self, width: usize) -> bool {
        let taken = cells(self.options);
        taken * 100 > width * OPTIONS_SHARE_MAX && taken + cells(self.text) > width
    }

    fn lines(&self, width: usize, is_below: bool) -> Vec<String> {
        if self.options.is_empty() {
            return wrap_line("", "", self.text, width);
        }
        if is_below {
            let indent = " ".repeat(INDENT);
            let mut lines = vec![self.options.to_owned()];
            lines.extend(wrap_line(&indent, &indent, self.text, width));
            return lines;
        }
        let indent = " ".repeat(cells(self.options));
        let mut lines = wrap_line(&indent, &indent, self.text, width);
        if let Some(first) = lines.first_mut() {
            first.replace_range(..indent.len(), self.options);
        }
        lines
    }
}

/// Returns the width of a text in terminal cells, without escape sequences.
fn cells(text: &str) -> usize {
    let mut rest = text;
    let mut cells = 0;
    while let Some((before, escape)) = rest.split_once('\x1b') {
        cells += unicode_width::UnicodeWidthStr::width_cjk(before);
        rest = escape.split_once('m').map_or("", |(_, after)| after);
    }
    cells + unicode_width::UnicodeWidthStr::width_cjk(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
列出、添加和删除联系人；也可以屏蔽联系人的消息，并检查通讯录中的错误，这里还有更多的文字。

选项：
  -h, --help           显示本帮助
      --contacts FILE  通讯录文件，默认为当前目录中的 contacts.toml，否则为配置目录中的文件
";

    #[test]
    fn chinese_breaks_between_characters_below_its_text() {
        assert_eq!(
            lay_out(HELP, 60),
            "\
列出、添加和删除联系人；也可以屏蔽联系人的消息，并检查通讯录
中的错误，这里还有更多的文字。

选项：
  -h, --help           显示本帮助
      --contacts FILE  通讯录文件，默认为当前目录中的
                       contacts.toml，否则为配置目录中的文件
"
        );
    }

    #[test]
    fn text_is_below_wide_options_on_narrow_terminal() {
        assert_eq!(
            lay_out(
                "选项：\n  -h, --help           显示本帮助\n      --contacts FILE  通讯录文件，默认为当前目录中的文件\n",
                40
            ),
            "\
选项：
  -h, --help
          显示本帮助
      --contacts FILE
          通讯录文件，默认为当前目录中的
          文件
"
        );
    }

    #[test]
    fn escape_sequences_take_no_cells() {
        let colored = "  \x1b[1m-h\x1b[0m  显示本帮助，然后结束，不做其他任何事情\n";
        let plain = colored.replace("\x1b[1m", "").replace("\x1b[0m", "");
        let laid_out = lay_out(colored, 30).replace("\x1b[1m", "").replace("\x1b[0m", "");
        assert_eq!(laid_out, lay_out(&plain, 30));
        assert_eq!(laid_out, "  -h  显示本帮助，然后结束，不\n      做其他任何事情\n");
    }
}
