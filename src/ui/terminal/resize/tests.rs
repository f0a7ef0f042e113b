//! Output of the mender on a small model of a terminal that wraps its rows again.

use unicode_width::UnicodeWidthChar;

use super::*;

/// Rows of a terminal, with those above its window. A row with `true` continues on the next.
struct Screen {
    cols: usize,
    height: usize,
    rows: Vec<(String, bool)>,
    row: usize,
    col: usize,
}

fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

impl Screen {
    fn new(cols: usize, height: usize) -> Screen {
        Screen { cols, height, rows: vec![(String::new(), false)], row: 0, col: 0 }
    }

    fn line_feed(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push((String::new(), false));
        }
    }

    /// First row of the window.
    fn top(&self) -> usize {
        self.rows.len().saturating_sub(self.height)
    }

    fn write(&mut self, output: &str) {
        let mut chars = output.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\r' => self.col = 0,
                '\n' => {
                    self.line_feed();
                    self.col = 0;
                }
                '\x1b' => {
                    assert_eq!(chars.next(), Some('['));
                    let mut count = String::new();
                    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                        count.push(digit);
                    }
                    self.control(count.parse().unwrap_or(1), chars.next().unwrap());
                }
                c => self.put(c),
            }
        }
    }

    fn control(&mut self, count: usize, kind: char) {
        let bottom = self.rows.len().max(self.height) - 1;
        match kind {
            'A' => self.row = self.row.saturating_sub(count).max(self.top()),
            'B' => {
                self.row = (self.row + count).min(bottom);
                while self.rows.len() <= self.row {
                    self.rows.push((String::new(), false));
                }
            }
            'C' => self.col += count,
            'K' => {
                assert_eq!(self.col, 0);
                self.rows[self.row] = (String::new(), false);
                // As in tmux, a cleared row continues nothing.
                self.rows[self.row - 1].1 = false;
            }
            other => panic!("{other}"),
        }
    }

    fn put(&mut self, c: char) {
        if self.col + c.width().unwrap() > self.cols {
            self.rows[self.row].1 = true;
            self.line_feed();
            self.col = 0;
        }
        let row = &mut self.rows[self.row].0;
        assert_eq!(width(row), self.col, "the editor draws behind the text");
        row.push(c);
        self.col += c.width().unwrap();
    }

    /// Changes the width. The cursor stays on its character, or else moves to the end of the line.
    fn resize(&mut self, cols: usize) {
        let mut wrapped: Vec<(String, bool)> = Vec::new();
        let mut cursor = None;
        let mut starts = true;
        let mut has_cursor = false;
        for (at, (text, continues)) in self.rows.iter().enumerate() {
            if std::mem::replace(&mut starts, !continues) {
                wrapped.push((String::new(), false));
            }
            let mut col = 0;
            for c in text.chars() {
                if width(&wrapped.last().unwrap().0) + c.width().unwrap() > cols {
                    wrapped.last_mut().unwrap().1 = true;
                    wrapped.push((String::new(), false));
                }
                let end = (wrapped.len() - 1, width(&wrapped.last().unwrap().0));
                if (at, col) == (self.row, self.col) {
                    cursor = Some(end);
                }
                wrapped.last_mut().unwrap().0.push(c);
                col += c.width().unwrap();
            }
            has_cursor |= at == self.row;
            if starts && std::mem::take(&mut has_cursor) {
                let end = (wrapped.len() - 1, width(&wrapped.last().unwrap().0));
                cursor.get_or_insert(end);
            }
        }
        (self.row, self.col) = cursor.unwrap();
        self.rows = wrapped;
        self.cols = cols;
    }

    fn shown(&self) -> String {
        let rows: Vec<&str> = self.rows.iter().map(|row| row.0.as_str()).collect();
        rows.join("\n").trim_end().to_owned()
    }
}

/// The line editor, as far as it draws and clears.
struct Editor<'a> {
    screen: Screen,
    drawn: DrawnLine,
    prompt: &'a str,
    text: &'a str,
    pos: usize,
    /// Row of the cursor and of the end, as drawn last.
    rows: (usize, usize),
}

impl Editor<'_> {
    fn draw(&mut self, mended: Option<&str>) {
        let cols = self.screen.cols;
        let (cursor, end) = self.rows;
        self.screen.write(&moved(end - cursor, 'B'));
        self.screen.write(&"\r\x1b[K\x1b[A".repeat(end));
        self.screen.write("\r\x1b[K");
        self.drawn.set_prompt(self.prompt);
        self.screen.write(mended.unwrap_or(&format!("{}{}", self.prompt, self.text)));
        let mut at = Cell::default();
        pieces_of(&format!("{}{}", self.prompt, &self.text[..self.pos]), cols, &mut at);
        let cursor = next_row_if_full(at, cols);
        pieces_of(&self.text[self.pos..], cols, &mut at);
        let end = next_row_if_full(at, cols);
        if end.col == 0 && end.row > 0 && !self.text.ends_with('\n') {
            self.screen.write("\n");
        }
        self.screen.write(&(moved(end.row - cursor.row, 'A') + "\r"));
        self.screen.write(&if cursor.col > 0 { moved(cursor.col, 'C') } else { String::new() });
        self.rows = (cursor.row, end.row);
    }

    fn resize(&mut self, cols: usize) {
        self.screen.resize(cols);
        if self.rows.1 > 0 || width(self.prompt) + width(self.text) >= cols {
            let MendedLine { before, instead } = self.drawn.mend(self.text, self.pos, cols).unwrap();
            self.screen.write(&before);
            self.draw(Some(instead));
        }
    }

    /// Draws the line as the editor does after the next key.
    fn draw_again(&mut self) {
        self.drawn.mend("", 0, self.screen.cols);
        assert_eq!(self.drawn.mend(self.text, self.pos, self.screen.cols), None);
        self.draw(None);
    }
}

fn on_screen<'a>(height: usize, prompt: &'a str, text: &'a str, pos: usize) -> Editor<'a> {
    let mut screen = Screen::new(80, height);
    screen.write("before\n");
    let drawn = DrawnLine::default();
    let mut editor = Editor { screen, drawn, prompt, text, pos, rows: (0, 0) };
    assert_eq!(editor.drawn.mend("", 0, 80), None, "the prompt alone");
    editor.drawn.set_prompt(prompt);
    assert_eq!(editor.drawn.mend(text, pos, 80), None, "typed text");
    editor.draw(None);
    editor
}

#[test]
fn narrow_window_and_back_leaves_one_copy() {
    for (prompt, text) in [
        ("To JACK: ", "a draft of more than ten characters"),
        ("发给 JACK：", "一段超过十个字符的草稿，中间有 ASCII"),
        ("To JACK: ", "exactly 71 characters, so that prompt and text fill the row: abcdefghij"),
        ("To JACK: ", "first line of the text\nand the second one\n"),
        ("To JACK: ", "1"),
        ("> ", ""),
    ] {
        for pos in (0..=text.len()).filter(|pos| text.is_char_boundary(*pos)) {
            // In a low window the first rows are above it at times, and must not have the cursor.
            let low = if pos == text.len() { 14 } else { 24 };
            for (height, draws) in [(24, false), (low, false), (40, true)] {
                let mut editor = on_screen(height, prompt, text, pos);
                for cols in [10, 80, 11, 12, 40, 7, 20, 80] {
                    editor.resize(cols);
                    if draws {
                        editor.draw_again();
                    }
                }
                let shown = editor.screen.shown();
                assert_eq!(shown, format!("before\n{prompt}{text}").trim_end(), "{pos} in {height} rows");
                editor.draw_again();
                let shown = editor.screen.shown();
                assert_eq!(shown, format!("before\n{prompt}{text}").trim_end(), "{pos} in {height} rows");
            }
        }
    }
}

#[test]
fn rows_are_those_of_the_width() {
    let mut editor = on_screen(24, "To JACK: ", "a draft of more", 15);
    editor.resize(10);
    assert_eq!(editor.screen.shown(), "before\nTo JACK: a\n draft of \nmore");
    let mut editor = on_screen(24, "发给 JACK：", "约不约", 0);
    editor.resize(10);
    assert_eq!(editor.screen.shown(), "before\n发给 JACK\n：约不约");
    assert_eq!((editor.screen.row, editor.screen.col), (2, 2));
}

#[test]
fn full_row_keeps_the_line_end_behind_it() {
    let text = "x".repeat(71);
    let mut editor = on_screen(24, "To JACK: ", &text, 71);
    assert_eq!(editor.rows, (1, 1));
    editor.resize(100);
    assert_eq!(editor.screen.shown(), format!("before\nTo JACK: {text}"));
    assert_eq!((editor.screen.row, editor.screen.col), (1, 80));
}

#[test]
fn other_changes_need_nothing() {
    let mut drawn = DrawnLine::default();
    assert_eq!(drawn.mend("", 0, 80), None);
    assert_eq!(drawn.mend("a", 1, 80), None);
    assert_eq!(drawn.mend("ab", 2, 10), None, "the editor does not know the width yet");
    assert_eq!(drawn.mend("ab", 2, 10), None);
    assert!(drawn.mend("ab", 2, 80).is_some());
    drawn.begin();
    assert_eq!(drawn.mend("ab", 2, 10), None);
}

#[test]
fn terminals_that_cut_rows_are_known() {
    let with = |vars: &[(&str, &str)]| {
        let found = |name: &str| vars.iter().find(|(known, _)| *known == name);
        wraps_again(|name| found(name).map(|(_, value)| (*value).to_owned()))
    };
    assert!(with(&[("TERM", "xterm-256color")]));
    assert!(!with(&[("TERM", "xterm-256color"), ("XTERM_VERSION", "XTerm(390)")]));
    assert!(with(&[("TERM", "tmux"), ("XTERM_VERSION", "XTerm(390)"), ("TMUX", "/tmp/tmux")]));
    assert!(!with(&[("TERM", "linux")]) && !with(&[("TERM", "st-256color")]));
    assert!(!with(&[("TERM", "screen"), ("STY", "1.pts")]));
    assert!(with(&[("TERM", "stterm")]) && with(&[]));
}
