//! Fields and methods of the types of the library, and its lines by module.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Fields, ImplItem, ItemImpl, ItemMod, ItemStruct, Type};

use crate::facts::is_test_only;
use crate::files::Sources;

/// Counts of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeSize {
    /// Fields of a struct.
    pub fields: usize,
    /// Functions of its impl blocks without a trait, which may be in several files.
    pub methods: usize,
    /// Those blocks.
    pub impls: usize,
}

/// Returns the counts of each type outside tests, by top module and name.
pub fn types(sources: &Sources) -> BTreeMap<(String, String), TypeSize> {
    let mut types = BTreeMap::new();
    for (path, file) in sources.rust.iter().filter(|(_, file)| !file.facts.in_test) {
        let Some(module) = top_module(path) else { continue };
        let file = syn::parse_file(&file.text).expect("`Sources` has parsed it");
        Counter { module, types: &mut types }.visit_file(&file);
    }
    types
}

/// Returns the lines of each top module: of the program, and of its unit tests in files of their
/// own.
pub fn lines(sources: &Sources) -> BTreeMap<String, [usize; 2]> {
    let mut lines: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for (path, file) in &sources.rust {
        if let Some(module) = top_module(path) {
            let is_test = file.facts.in_test || path.ends_with("tests.rs") || path.contains("/tests/");
            lines.entry(module).or_default()[usize::from(is_test)] += file.text.lines().count();
        }
    }
    lines
}

/// Returns `relay` for `src/relay/mod.rs` and `ui` for `src/ui.rs`.
fn top_module(path: &str) -> Option<String> {
    let below = path.strip_prefix("src/")?;
    let name = below.split('/').next()?;
    Some(name.strip_suffix(".rs").unwrap_or(name).to_owned())
}

struct Counter<'a> {
    module: String,
    types: &'a mut BTreeMap<(String, String), TypeSize>,
}

impl Counter<'_> {
    fn size(&mut self, name: String) -> &mut TypeSize {
        self.types.entry((self.module.clone(), name)).or_default()
    }
}

impl<'ast> Visit<'ast> for Counter<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test_only(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        let fields = match &item.fields {
            Fields::Named(fields) => fields.named.len(),
            Fields::Unnamed(fields) => fields.unnamed.len(),
            Fields::Unit => 0,
        };
        self.size(item.ident.to_string()).fields += fields;
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let Type::Path(path) = &*item.self_ty else { return };
        let Some(name) = path.path.segments.last().filter(|_| item.trait_.is_none()) else { return };
        if is_test_only(&item.attrs) {
            return;
        }
        let methods = item.items.iter().filter(|item| matches!(item, ImplItem::Fn(_))).count();
        let size = self.size(name.ident.to_string());
        size.methods += methods;
        size.impls += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_methods_of_all_blocks_count_and_tests_do_not() {
        let sources = Sources::made_up(&[
            (
                "src/relay/mod.rs",
                "struct A { a: u8, b: u8 }\nimpl A { fn x(&self) {} fn y() {} }\nimpl Clone for A {}",
            ),
            (
                "src/relay/more.rs",
                "impl A { fn z() {} }\n#[cfg(test)]\nmod tests { struct B(u8); impl B { fn t() {} } }",
            ),
        ]);
        let size = TypeSize { fields: 2, methods: 3, impls: 2 };
        assert_eq!(types(&sources), BTreeMap::from([(("relay".to_owned(), "A".to_owned()), size)]));
        assert_eq!(lines(&sources), BTreeMap::from([("relay".to_owned(), [6, 0])]));
    }
}
