//! Keeps the line that is being typed in place when the window's width changes.
//!
//! A terminal wraps its rows again when its width changes, so that prompt and text are on the
//! screen as the line editor would draw them at the new width. But the editor clears the rows of
//! the old width and draws all again. [`DrawnLine::mend`] returns output that lets it clear empty
//! rows below the text, and then goes back to the end of the text. Nothing else is drawn: tmux may
//! have moved the first rows above the window, out of reach.

use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;

/// Cells from one tab stop to the next, as the editor counts them.
const TAB_STOP: usize = 8;

/// One row up (ECMA-48 CUU).
const UP: &str = "\x1b[A";

/// Prompt and text as they were drawn last.
#[derive(Debug, Default)]
pub(super) struct DrawnLine {
    prompt: String,
    text: String,
    /// Width of the terminal. 0 before the line is drawn.
    cols: usize,
}

/// Output for a line on a terminal of another width.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MendedLine {
    /// Comes before the editor clears the line.
    pub(super) before: String,
    /// Replaces prompt and text.
    pub(super) instead: &'static str,
}

/// A part of drawn text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// Cells that a terminal keeps on one row.
    Cells(usize),
    LineEnd,
}

/// A cell of the screen, counted from the first cell of the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cell {
    row: usize,
    col: usize,
}

impl DrawnLine {
    /// Handles a new line: nothing is drawn yet.
    pub(super) fn begin(&mut self) {
        *self = DrawnLine::default();
    }

    /// Handles the prompt that is being drawn.
    pub(super) fn set_prompt(&mut self, prompt: &str) {
        prompt.clone_into(&mut self.prompt);
    }

    /// Handles the text that is drawn next on a terminal of `cols` columns. If only the width has
    /// changed, returns the output for it. `pos` is the cursor's byte in the text.
    pub(super) fn mend(&mut self, text: &str, pos: usize, cols: usize) -> Option<MendedLine> {
        let before = std::mem::replace(&mut self.cols, cols);
        let is_resized = before != 0 && before != cols && text == self.text;
        text.clone_into(&mut self.text);
        is_resized.then(|| self.mended(pos, before))
    }

    /// Returns the output after a width of `before`.
    fn mended(&self, pos: usize, before: usize) -> MendedLine {
        let (head, tail) = self.text.split_at(pos);
        let mut at = Cell::default();
        let head = pieces_of(&format!("{}{head}", self.prompt), before, &mut at);
        let old_cursor = at;
        let tail = pieces_of(tail, before, &mut at);
        let old_end = at;
        let cursor = self.cursor_row(&head, &tail, old_cursor, old_end, before);
        let end = behind(head.iter().chain(&tail), self.cols).row;
        let rows = next_row_if_full(old_end, before).row;
        let below_cursor = rows - next_row_if_full(old_cursor, before).row;
        let to_end = match end.checked_sub(cursor) {
            Some(rows) => moved(rows, 'B'),
            None => moved(cursor - end, 'A'),
        };
        // Line ends make as many empty rows as the editor clears.
        let room = "\n".repeat(rows + 1);
        let before = format!("{to_end}\r{room}{}", moved(below_cursor, 'A'));
        MendedLine { before, instead: UP }
    }

    /// Returns the row of the cursor at the new width. A terminal keeps the cursor on its
    /// character, or else moves it to the end of the line, as tmux does.
    fn cursor_row(&self, head: &[Piece], tail: &[Piece], old: Cell, old_end: Cell, before: usize) -> usize {
        let at = behind(head, self.cols);
        match tail.first() {
            // The cell before a wide character that did not fit.
            Some(Piece::Cells(width)) if old.col < before && old.col + width > before => {
                let line = tail.iter().take_while(|piece| **piece != Piece::LineEnd);
                behind(head.iter().chain(line), self.cols).row
            }
            Some(Piece::Cells(width)) => at.row + usize::from(at.col + width > self.cols),
            // Behind text that filled its last row the editor has written a line end.
            None if old_end.col == before => at.row + 1,
            Some(Piece::LineEnd) | None => at.row,
        }
    }
}

/// Returns a cursor movement (ECMA-48 CUU, CUD), nothing for 0 rows.
fn moved(rows: usize, direction: char) -> String {
    if rows == 0 { String::new() } else { format!("\x1b[{rows}{direction}") }
}

/// Splits text into pieces as a terminal of `cols` columns shows it from `at` on, and moves `at`
/// behind it.
fn pieces_of(text: &str, cols: usize, at: &mut Cell) -> Vec<Piece> {
    let widths = GraphemeClusterMode::from_env();
    let mut pieces = Vec::new();
    for cluster in text.graphemes(true) {
        let width = match cluster {
            "\n" | "\r\n" => {
                pieces.push(Piece::LineEnd);
                *at = Cell { row: at.row + 1, col: 0 };
                continue;
            }
            "\t" => TAB_STOP - at.col % TAB_STOP,
            _ => usize::from(widths.width(cluster)),
        };
        *at = put(*at, width, cols);
        match cluster {
            // A terminal keeps the cells of a tab, not the tab.
            "\t" => pieces.extend(std::iter::repeat_n(Piece::Cells(1), width)),
            _ => pieces.push(Piece::Cells(width)),
        }
    }
    pieces
}

/// Returns the cell behind `width` cells that begin at `at`, or on the next row if they do not fit.
const fn put(at: Cell, width: usize, cols: usize) -> Cell {
    if at.col + width > cols {
        Cell { row: at.row + 1, col: width }
    } else {
        Cell { row: at.row, col: at.col + width }
    }
}

/// Returns where the editor counts the cursor: behind a full row, at the start of the next.
const fn next_row_if_full(at: Cell, cols: usize) -> Cell {
    if at.col == cols { Cell { row: at.row + 1, col: 0 } } else { at }
}

/// Returns the cell behind `pieces` on a terminal of `cols` columns. Behind a full row it is
/// outside of that row.
fn behind<'a>(pieces: impl IntoIterator<Item = &'a Piece>, cols: usize) -> Cell {
    pieces.into_iter().fold(Cell::default(), |at, piece| match piece {
        Piece::Cells(width) => put(at, *width, cols),
        Piece::LineEnd => Cell { row: at.row + 1, col: 0 },
    })
}

/// Whether this terminal wraps its rows again when its width changes. Most do; xterm, GNU screen,
/// st and the Linux console cut the rows.
pub(super) fn wraps_again(env: impl Fn(&str) -> Option<String>) -> bool {
    let term = env("TERM").unwrap_or_default();
    let cuts = env("XTERM_VERSION").is_some()
        || env("STY").is_some()
        || term == "linux"
        || term == "st"
        || term.starts_with("st-");
    env("TMUX").is_some() || !cuts
}

#[cfg(test)]
mod tests;
