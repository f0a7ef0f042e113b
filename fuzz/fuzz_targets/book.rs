//! Address books: a malformed one is reported with line and column, a valid one is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use queqiao::contacts::Book;

fuzz_target!(|text: &str| {
    match Book::parse(text, "contacts.toml") {
        Ok(book) => assert!(book.contacts.iter().all(|contact| book.contact(&contact.label) == Some(contact))),
        Err(phrase) => {
            let args = phrase.args();
            let number = |name: &str| args.iter().find(|arg| arg.0 == name).and_then(|arg| arg.1.parse::<usize>().ok());
            let line = number("line").expect("a line");
            let column = number("column").expect("a column");
            assert!((1..=text.matches('\n').count() + 1).contains(&line) && column >= 1);
        }
    }
});
