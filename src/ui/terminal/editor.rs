//! Lines from a terminal, edited with rustyline.

use std::cell::Cell;
use std::sync::mpsc::Receiver;

use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};

use crate::ui::line::UserInput;

use super::Prompt;

/// Maximum lines of the history for the arrow keys.
const HISTORY_LEN: usize = 200;
/// Text that draws nothing: one line up and down again (ECMA-48 CUU). The editor appends a newline
/// to any text without one.
pub(super) const NOTHING: &str = "\x1b[A\n";
/// Restores the screen: bracketed paste off (xterm, "Bracketed Paste Mode"), and cursor below the
/// half-typed line.
pub(super) const LEAVE: &str = "\x1b[?2004l\r\n";

/// The line editor.
pub(super) type LineEditor = Editor<EditorHelper, MemHistory>;

/// Completions of a line, and whether it is empty.
#[derive(Default)]
pub(super) struct EditorHelper {
    candidates: Vec<String>,
    empty: Cell<bool>,
}

impl Completer for EditorHelper {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let begun = &line[..pos];
        let fits = |candidate: &&String| !begun.is_empty() && candidate.starts_with(begun);
        Ok((0, self.candidates.iter().filter(fits).cloned().collect()))
    }
}

impl Hinter for EditorHelper {
    type Hint = String;

    /// Returns no hint. It is called on each change of the line, so it records whether Ctrl-C would
    /// find it empty.
    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.empty.set(line.is_empty());
        None
    }
}

impl Highlighter for EditorHelper {}
impl Validator for EditorHelper {}
impl Helper for EditorHelper {}

/// Opens an editor, and a printer for text above its line.
///
/// # Errors
/// The terminal does not support editing.
pub(super) fn open() -> rustyline::Result<(LineEditor, impl ExternalPrinter + Send + 'static)> {
    let config = Config::builder()
        .auto_add_history(true)
        .bracketed_paste(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_history(config, MemHistory::new())?;
    editor.set_max_history_size(HISTORY_LEN)?;
    editor.set_helper(Some(EditorHelper::default()));
    let printer = editor.create_external_printer()?;
    Ok((editor, printer))
}

/// Reads a line for each prompt, until the input or the prompts end.
pub(super) fn run(mut editor: LineEditor, prompts: &Receiver<Prompt>, mut on_input: impl FnMut(UserInput)) {
    for ask in prompts {
        let line = editor.helper_mut().expect("`open` sets it");
        line.candidates = ask.candidates;
        let read = match read_line(&mut editor, &ask.prompt) {
            Ok(read) => read,
            Err(error) => return super::fail(&mut on_input, error),
        };
        let last = matches!(read, UserInput::EndOfInput | UserInput::Interrupted);
        on_input(read);
        if last {
            return;
        }
    }
}

fn read_line(editor: &mut LineEditor, prompt: &str) -> rustyline::Result<UserInput> {
    loop {
        match editor.readline(prompt) {
            Ok(line) => return Ok(UserInput::Line(line)),
            Err(ReadlineError::Eof) => return Ok(UserInput::EndOfInput),
            Err(ReadlineError::Interrupted) => {
                if editor.helper().is_some_and(|line| line.empty.get()) {
                    return Ok(UserInput::Interrupted);
                }
            }
            Err(ReadlineError::Signal(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustyline::history::DefaultHistory;

    #[test]
    fn candidates_begin_with_typed_text() {
        let names = ["JACK", "JANE", "一棵树", "/to JACK"];
        let line = EditorHelper { candidates: names.map(str::to_owned).to_vec(), ..EditorHelper::default() };
        let history = DefaultHistory::new();
        let complete = |begun: &str| line.complete(begun, begun.len(), &Context::new(&history)).unwrap().1;
        assert_eq!(complete("JA"), ["JACK", "JANE"]);
        assert_eq!(complete("一"), ["一棵树"]);
        assert_eq!(complete("/to J"), ["/to JACK"]);
        assert_eq!(complete(""), [""; 0]);
    }

    #[test]
    fn empty_line_differs_from_begun_one() {
        let line = EditorHelper::default();
        let history = DefaultHistory::new();
        for (text, empty) in [("", true), ("a", false), ("", true)] {
            assert_eq!(line.hint(text, text.len(), &Context::new(&history)), None);
            assert_eq!(line.empty.get(), empty);
        }
    }
}
