//! Reads one Rust text: its modules, imports, paths, functions and the statements that are banned.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ImplItem, Item, Meta, Pat, Stmt, TraitItem, UseTree};

use crate::tokens;

/// A path in code or the path of an import, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct PathUse {
    /// Names of the inline modules around it, outermost first.
    pub inside: Vec<String>,
    /// Its segments. A path with leading `::` begins with an empty segment, a glob ends before `*`.
    pub segments: Vec<String>,
    /// Line number, from 1.
    pub line: usize,
    /// Whether only tests compile it.
    pub in_test: bool,
    /// How it came about.
    pub kind: PathKind,
}

/// The kind of code that a path is in.
#[derive(Clone, Debug, PartialEq)]
pub enum PathKind {
    /// An expression, a type, a pattern or the tokens of a macro.
    Code,
    /// An import under this name. A local one is inside a block.
    Import { name: String, is_local: bool },
    /// An import of everything.
    Glob,
}

/// `mod name;` or `mod name { … }`.
#[derive(Debug)]
pub struct ModuleFact {
    pub inside: Vec<String>,
    pub name: String,
    /// Value of its `path` attribute.
    pub path: Option<String>,
    /// Whether it has no body here.
    pub in_file: bool,
    pub in_test: bool,
}

/// A function with a body.
#[derive(Debug)]
pub struct FunctionFact {
    pub name: String,
    pub line: usize,
    /// Lines from `fn` to the closing brace.
    pub lines: usize,
    /// Whether it has the attribute `test`.
    pub is_test: bool,
}

/// Facts of one file.
#[derive(Debug, Default)]
pub struct Facts {
    pub modules: Vec<ModuleFact>,
    /// Items of each inline module.
    pub items: Vec<(Vec<String>, String)>,
    pub paths: Vec<PathUse>,
    pub functions: Vec<FunctionFact>,
    /// Lines of `unwrap()`, with whether only tests compile them.
    pub unwraps: Vec<(usize, bool)>,
    /// Lines of macros and attributes that mark unfinished work.
    pub unfinished: Vec<(usize, &'static str)>,
    /// Lines that allow what clippy disallows.
    pub allowed: Vec<usize>,
    /// Lines of `let (a, b) = (x, y)` and `(a, b) = (x, y)`.
    pub tuples: Vec<usize>,
    /// Whether the whole file is only for tests.
    pub in_test: bool,
}

impl Facts {
    /// Parses `text`.
    ///
    /// # Errors
    ///
    /// The first syntax error.
    pub fn of(text: &str) -> syn::Result<Self> {
        let file = syn::parse_file(text)?;
        let mut reader = Reader { in_test: is_test_only(&file.attrs), ..Reader::default() };
        reader.facts.in_test = reader.in_test;
        reader.visit_file(&file);
        Ok(reader.facts)
    }
}

/// Walks through the syntax tree of one file.
#[derive(Default)]
pub struct Reader {
    pub facts: Facts,
    inside: Vec<String>,
    /// Depth of blocks: items in a block are no items of the module.
    blocks: usize,
    in_test: bool,
}

impl Reader {
    /// Records a path of at least two segments; one name alone was imported or is defined here.
    pub fn add_path(&mut self, segments: Vec<String>, line: usize, kind: PathKind) {
        if segments.len() > 1 || kind != PathKind::Code {
            let inside = self.inside.clone();
            self.facts.paths.push(PathUse { inside, segments, line, in_test: self.in_test, kind });
        }
    }

    pub fn add_unwrap(&mut self, line: usize) {
        self.facts.unwraps.push((line, self.in_test));
    }

    pub fn add_test(&mut self, name: String, line: usize) {
        self.facts.functions.push(FunctionFact { name, line, lines: 1, is_test: true });
    }

    fn add_function(&mut self, signature: &syn::Signature, block: &syn::Block, attributes: &[Attribute]) {
        let line = line_of(signature.fn_token.span);
        let lines = block.brace_token.span.close().end().line + 1 - line;
        let is_test = attributes.iter().any(|a| a.path().segments.last().is_some_and(|s| s.ident == "test"));
        self.facts.functions.push(FunctionFact { name: signature.ident.to_string(), line, lines, is_test });
    }

    fn within_test(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test |= is_test_only(attributes);
        visit(self);
        self.in_test = before;
    }

    fn add_use(&mut self, tree: &UseTree, prefix: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(name_of(&path.ident));
                self.add_use(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_use(tree, prefix)),
            UseTree::Glob(glob) => {
                self.add_path(prefix.clone(), line_of(glob.star_token.span), PathKind::Glob);
            }
            UseTree::Name(name) => {
                let line = line_of(name.ident.span());
                let name = name_of(&name.ident);
                let alias =
                    if name == "self" { prefix.last().cloned().unwrap_or_default() } else { name.clone() };
                self.add_import(prefix, name, alias, line);
            }
            UseTree::Rename(rename) => {
                let line = line_of(rename.ident.span());
                self.add_import(prefix, name_of(&rename.ident), name_of(&rename.rename), line);
            }
        }
    }

    /// Records the import of `name` below `prefix` as `alias`.
    pub fn add_import(&mut self, prefix: &[String], name: String, alias: String, line: usize) {
        let mut segments = prefix.to_vec();
        // `a::{self}` is `a`.
        if name != "self" || prefix.is_empty() {
            segments.push(name);
        }
        let is_local = self.blocks > 0;
        self.add_path(segments, line, PathKind::Import { name: alias, is_local });
    }

    fn add_tuple(&mut self, pattern: &Pat, value: &Expr) {
        let pattern = match pattern {
            Pat::Type(typed) => &*typed.pat,
            pattern => pattern,
        };
        if let (Pat::Tuple(names), Expr::Tuple(_)) = (pattern, value) {
            self.facts.tuples.push(line_of(names.paren_token.span.open()));
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = parts_of(item);
        if let (Some(name), 0) = (name, self.blocks) {
            self.facts.items.push((self.inside.clone(), name));
        }
        self.within_test(attributes, |reader| visit::visit_item(reader, item));
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        self.within_test(attributes, |reader| visit::visit_impl_item(reader, item));
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes: &[Attribute] = match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        self.within_test(attributes, |reader| visit::visit_trait_item(reader, item));
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes: &[Attribute] = match statement {
            Stmt::Local(local) => &local.attrs,
            Stmt::Macro(call) => &call.attrs,
            Stmt::Expr(Expr::Block(block), _) => &block.attrs,
            Stmt::Expr(Expr::Call(call), _) => &call.attrs,
            Stmt::Expr(Expr::MethodCall(call), _) => &call.attrs,
            Stmt::Expr(Expr::If(condition), _) => &condition.attrs,
            _ => &[],
        };
        self.within_test(attributes, |reader| visit::visit_stmt(reader, statement));
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let name = name_of(&module.ident);
        self.facts.modules.push(ModuleFact {
            inside: self.inside.clone(),
            name: name.clone(),
            path: path_attribute(&module.attrs),
            in_file: module.content.is_none(),
            in_test: self.in_test,
        });
        self.inside.push(name);
        let blocks = std::mem::take(&mut self.blocks);
        visit::visit_item_mod(self, module);
        self.blocks = blocks;
        self.inside.pop();
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        import.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        let mut prefix: Vec<String> = import.leading_colon.iter().map(|_| String::new()).collect();
        self.add_use(&import.tree, &mut prefix);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add_function(&function.sig, &function.block, &function.attrs);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add_function(&function.sig, &function.block, &function.attrs);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.add_function(&function.sig, block, &function.attrs);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.blocks += 1;
        visit::visit_block(self, block);
        self.blocks -= 1;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let leading = path.leading_colon.iter().map(|_| String::new());
        let segments: Vec<String> =
            leading.chain(path.segments.iter().map(|segment| name_of(&segment.ident))).collect();
        let line = line_of_path(path);
        // `.map(Option::unwrap)`
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "unwrap") {
            self.add_unwrap(line);
        }
        self.add_path(segments, line, PathKind::Code);
        visit::visit_path(self, path);
    }

    /// The path in `pub(in path)` depends on nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if let Some(mark) = tokens::unfinished(&name) {
            self.facts.unfinished.push((line_of_path(&call.path), mark));
        }
        tokens::read(call.tokens.clone(), self);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let line = line_of(attribute.pound_token.span);
        self.visit_path(attribute.path());
        if attribute.path().is_ident("ignore") {
            self.facts.unfinished.push((line, "#[ignore]"));
        }
        if let Meta::List(list) = &attribute.meta {
            if list.path.is_ident("cfg_attr") && tokens::ignores(list.tokens.clone()) {
                self.facts.unfinished.push((line, "#[ignore]"));
            }
            tokens::read_attribute(list.tokens.clone(), line, self);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "unwrap" && call.args.is_empty() {
            self.add_unwrap(line_of(call.method.span()));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        // With `else` it matches, and does not only bind.
        if let Some(init) = local.init.as_ref().filter(|init| init.diverge.is_none()) {
            self.add_tuple(&local.pat, &init.expr);
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_assign(&mut self, assignment: &'ast syn::ExprAssign) {
        if let (Expr::Tuple(names), Expr::Tuple(_)) = (&*assignment.left, &*assignment.right) {
            self.facts.tuples.push(line_of(names.paren_token.span.open()));
        }
        visit::visit_expr_assign(self, assignment);
    }
}

/// Returns the attributes of an item and the name that it defines in its module.
fn parts_of(item: &Item) -> (&[Attribute], Option<String>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(name_of(&item.ident))),
        Item::Enum(item) => (&item.attrs, Some(name_of(&item.ident))),
        Item::ExternCrate(item) => (&item.attrs, None),
        Item::Fn(item) => (&item.attrs, Some(name_of(&item.sig.ident))),
        Item::ForeignMod(item) => (&item.attrs, None),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref().map(name_of)),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(name_of(&item.ident))),
        Item::Struct(item) => (&item.attrs, Some(name_of(&item.ident))),
        Item::Trait(item) => (&item.attrs, Some(name_of(&item.ident))),
        Item::Type(item) => (&item.attrs, Some(name_of(&item.ident))),
        Item::Union(item) => (&item.attrs, Some(name_of(&item.ident))),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

/// Whether attributes leave the item out of every build but that of tests.
pub fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<Meta>().is_ok_and(|condition| needs_test(&condition)))
    })
}

/// Whether a condition of `cfg` holds in tests only.
fn needs_test(condition: &Meta) -> bool {
    let parts = |list: &syn::MetaList| {
        list.parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated)
            .map(|parts| parts.into_iter().collect::<Vec<_>>())
            .unwrap_or_default()
    };
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => parts(list).iter().any(needs_test),
        Meta::List(list) if list.path.is_ident("any") => {
            let parts = parts(list);
            !parts.is_empty() && parts.iter().all(needs_test)
        }
        _ => false,
    }
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    })
}

fn name_of(ident: &proc_macro2::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_string).unwrap_or(name)
}

fn line_of(span: Span) -> usize {
    span.start().line
}

fn line_of_path(path: &syn::Path) -> usize {
    path.segments.first().map_or(0, |first| line_of(first.ident.span()))
}
