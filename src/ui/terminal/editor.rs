//! Lines from a terminal, edited with rustyline.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, CompletionType, Config, Context, Editor, ExternalPrinter, Helper};

use crate::ui::line::UserInput;

use crate::ui::line::Draft;

use super::key_filter::REPLACE_MARK;
use super::resize::{self, DrawnLine};
use super::{Echo, NO_PANIC, NextReplacement, Prompt, Replacement};

/// Maximum lines of the history for the arrow keys.
const HISTORY_LEN: usize = 200;
/// Text that draws nothing: one line up and down again (ECMA-48 CUU). The editor appends a newline
/// to any text without one.
pub(super) const NOTHING: &str = "\x1b[A\n";

/// Drawn in place of a line that ends for another prompt. The line end after it leads to where the
/// line was.
const LINE_ABOVE: &str = "\x1b[A";
/// Width that the editor assumes if the terminal does not report one.
const COLUMNS_UNKNOWN: usize = 80;

/// The line editor.
pub(super) type LineEditor = Editor<EditorHelper, MemHistory>;

/// Completions of a line, whether it is empty, and how it is shown after Enter.
#[derive(Default)]
pub(super) struct EditorHelper {
    candidates: Vec<String>,
    /// Shared with the thread that restores the terminal.
    is_empty: Arc<AtomicBool>,
    echo: Option<Echo>,
    /// Shown in place of prompt and line, once the line is entered.
    entered: RefCell<Option<String>>,
    /// `None` on a terminal that does not wrap its rows again.
    drawn: Option<RefCell<DrawnLine>>,
    /// Output in place of prompt and line, which the terminal shows already.
    mended: Cell<Option<&'static str>>,
}

impl EditorHelper {
    fn begin(&mut self, candidates: Vec<String>, echo: Option<Echo>) {
        self.candidates = candidates;
        self.echo = echo;
        *self.entered.get_mut() = None;
        if let Some(drawn) = &mut self.drawn {
            drawn.get_mut().begin();
        }
    }

    /// Handles text that is drawn next, after a new width if only that has changed.
    fn record_drawing(&self, line: &str, pos: usize) {
        let Some(drawn) = &self.drawn else { return };
        let cols = super::width().unwrap_or(COLUMNS_UNKNOWN);
        if let Some(line) = drawn.borrow_mut().mend(line, pos, cols) {
            // An error means that the terminal has gone.
            let _ = super::write_out(&line.before);
            self.mended.set(Some(line.instead));
        }
    }
}

impl Completer for EditorHelper {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let begun = &line[..pos];
        let fits = |candidate: &&String| !begun.is_empty() && candidate.starts_with(begun);
        let candidates: Vec<String> = self.candidates.iter().filter(fits).cloned().collect();
        // A tab that completes nothing is text, for example of a pasted table.
        Ok(if candidates.is_empty() { (pos, vec!["\t".to_owned()]) } else { (0, candidates) })
    }
}

impl Hinter for EditorHelper {
    type Hint = String;

    /// Returns no hint. It is called on each change of the line, so it records whether Ctrl-C would
    /// find it empty; and after a change of the width, before the line is drawn again.
    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        self.is_empty.store(line.is_empty(), Ordering::Relaxed);
        self.record_drawing(line, pos);
        None
    }
}

impl Highlighter for EditorHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if let Some(mended) = self.mended.take() {
            return Cow::Borrowed(mended);
        }
        self.entered.borrow().clone().map_or(Cow::Borrowed(line), Cow::Owned)
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if let Some(drawn) = &self.drawn {
            drawn.borrow_mut().set_prompt(prompt);
        }
        let is_replaced = self.entered.borrow().is_some() || self.mended.get().is_some();
        Cow::Borrowed(if is_replaced { "" } else { prompt })
    }
}

impl Validator for EditorHelper {
    /// Accepts every line. A message makes the editor draw the line once more, with what
    /// [`Highlighter::highlight`] returns; no other output can come between.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let entered = match context.input().contains(REPLACE_MARK) {
            true => Some(LINE_ABOVE.to_owned()),
            false => self.echo.as_ref().and_then(|echo| echo(context.input())),
        };
        let redraws = entered.is_some();
        *self.entered.borrow_mut() = entered;
        Ok(ValidationResult::Valid(redraws.then(String::new)))
    }
}

impl Helper for EditorHelper {}

/// Opens an editor, a printer for text above its line, and a function that draws the line again. It
/// reads standard input from its first line on, and sets `is_empty` while the line is empty.
///
/// # Errors
/// The terminal does not support editing.
pub(super) fn open(
    is_empty: Arc<AtomicBool>,
) -> rustyline::Result<(LineEditor, impl ExternalPrinter + Send + 'static, impl Fn() + Clone + Send + 'static)>
{
    let config = Config::builder()
        // On for the whole time: `filtered_terminal`.
        .bracketed_paste(false)
        .completion_type(CompletionType::List)
        // Otherwise NO_COLOR leaves out the highlighter, which shows entered lines. It adds no
        // colour itself.
        .color_mode(ColorMode::Forced)
        .build();
    let mut editor = Editor::with_history(config, MemHistory::new())?;
    editor.set_max_history_size(HISTORY_LEN)?;
    let drawn = resize::wraps_again(|name| std::env::var(name).ok()).then(RefCell::default);
    editor.set_helper(Some(EditorHelper { is_empty, drawn, ..EditorHelper::default() }));
    let printer = editor.create_external_printer()?;
    let second = Arc::new(Mutex::new(editor.create_external_printer()?));
    let redraw = move || {
        if let Ok(mut printer) = second.lock() {
            let _ = printer.print(NOTHING.to_owned());
        }
    };
    Ok((editor, printer, redraw))
}

/// Reads a line for each prompt, until the input or the prompts end. `is_reading` is set while a
/// line is read, and its prompt may be replaced by `next`.
pub(super) fn run(
    mut editor: LineEditor,
    prompts: &Receiver<Prompt>,
    next: &NextReplacement,
    is_reading: &AtomicBool,
    mut on_input: impl FnMut(UserInput),
) {
    for (ask, number) in prompts.iter().zip(1..) {
        let line = editor.helper_mut().expect("`open` sets it");
        line.begin(ask.candidates, ask.echo);
        is_reading.store(true, Ordering::Relaxed);
        if !ask.recalled.is_empty()
            && let Err(error) = editor.add_history_entry(ask.recalled)
        {
            return super::fail(&mut on_input, error);
        }
        let replacement = || next.lock().expect(NO_PANIC).take_if(|next| next.of == number);
        let read = read_line(&mut editor, ask.prompt, replacement, &mut on_input);
        is_reading.store(false, Ordering::Relaxed);
        let read = match read {
            Ok(read) => read,
            Err(error) => return super::fail(&mut on_input, error),
        };
        let last = matches!(read, UserInput::EndOfInput | UserInput::NoInput);
        on_input(read);
        if last {
            return;
        }
    }
}

fn read_line(
    editor: &mut LineEditor,
    mut prompt: String,
    replacement: impl Fn() -> Option<Replacement>,
    on_input: &mut impl FnMut(UserInput),
) -> rustyline::Result<UserInput> {
    let mut draft = (String::new(), String::new());
    loop {
        match editor.readline_with_initial(&prompt, (&draft.0, &draft.1)) {
            Ok(line) => {
                let Some((left, right)) = line.split_once(REPLACE_MARK) else {
                    editor.add_history_entry(line.as_str())?;
                    return Ok(UserInput::Line(line));
                };
                draft = (left.to_owned(), right.replace(REPLACE_MARK, ""));
                let line = editor.helper_mut().expect("`open` sets it");
                *line.entered.get_mut() = None;
                if let Some(next) = replacement() {
                    let is_empty = draft.0.is_empty() && draft.1.is_empty();
                    let (shown, input) = replaced(line, prompt, next, is_empty);
                    prompt = shown;
                    on_input(input);
                }
            }
            Err(ReadlineError::Eof) => return Ok(super::end_of_input()),
            Err(ReadlineError::Interrupted) => {
                if editor.helper().is_some_and(|line| line.is_empty.load(Ordering::Relaxed)) {
                    return Ok(UserInput::Interrupted);
                }
                draft = (String::new(), String::new());
            }
            Err(ReadlineError::Signal(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Applies a replacement of the prompt `shown`. Returns the new prompt, and the input that reports
/// it.
fn replaced(
    line: &mut EditorHelper,
    shown: String,
    next: Replacement,
    is_empty: bool,
) -> (String, UserInput) {
    let Replacement { change, candidates, echo, .. } = next;
    let (prompt, draft, echo) = match (is_empty, change.prompt_of_draft) {
        (true, _) => (change.prompt, Draft::Empty, echo),
        (false, Some(other)) => (other, Draft::Begun, None),
        (false, None) => (shown, Draft::Begun, line.echo.take()),
    };
    line.begin(candidates, echo);
    (prompt, UserInput::PromptReplaced { id: change.id, draft })
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
        for nothing in ["", "a table's", "JACK"] {
            let completed = line.complete(nothing, nothing.len(), &Context::new(&history)).unwrap();
            assert_eq!(completed.0 == nothing.len(), nothing != "JACK");
        }
        assert_eq!(complete("a"), ["\t"]);
    }

    #[test]
    fn empty_line_differs_from_begun_one() {
        let line = EditorHelper::default();
        let history = DefaultHistory::new();
        for (text, empty) in [("", true), ("a", false), ("", true)] {
            assert_eq!(line.hint(text, text.len(), &Context::new(&history)), None);
            assert_eq!(line.is_empty.load(Ordering::Relaxed), empty);
        }
    }
}
