//! The modules of all crates in this repository, and what a path in one of them names.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{PathKind, PathUse};
use crate::files::RustFile;

/// The root of the library.
pub const LIBRARY: &str = "src/lib.rs";

/// One module.
pub struct Module {
    pub name: String,
    pub file: String,
    /// Names of the inline modules around it in its file, and its own if it is one.
    pub inside: Vec<String>,
    pub parent: Option<usize>,
    /// The root of its crate.
    pub root: usize,
    /// Whether only tests compile it.
    pub in_test: bool,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    imports: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// The thing that a path names.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A module.
    Module(usize),
    /// An item that this module defines.
    Item(usize),
    /// Something in another crate.
    External(Vec<String>),
    /// Nothing that can be found, such as `Self` or a generic parameter.
    Unknown,
}

/// The target of a path, and the modules on the way there, in order.
pub struct Resolved {
    pub target: Target,
    pub passes: Vec<usize>,
}

/// All modules.
#[derive(Default)]
pub struct Modules {
    list: Vec<Module>,
}

impl Modules {
    /// Follows the `mod` declarations from the root of each crate.
    pub fn of(files: &BTreeMap<String, RustFile>) -> Self {
        let mut modules = Self::default();
        for path in files.keys().filter(|path| is_root(path)) {
            let root = modules.list.len();
            modules.add(files, Place { file: path, inside: Vec::new(), name: "crate" }, None, root, false);
        }
        modules
    }

    fn add(
        &mut self,
        files: &BTreeMap<String, RustFile>,
        place: Place<'_>,
        parent: Option<usize>,
        root: usize,
        in_test: bool,
    ) -> usize {
        let facts = &files[place.file].facts;
        let here = self.list.len();
        let in_test = in_test || facts.in_test;
        let mut module = Module {
            name: place.name.to_string(),
            file: place.file.to_string(),
            inside: place.inside.clone(),
            parent,
            root,
            in_test,
            children: BTreeMap::new(),
            items: facts.items.iter().filter(|i| i.0 == place.inside).map(|i| i.1.clone()).collect(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
        };
        module.read_imports(facts.paths.iter().filter(|path| path.inside == place.inside));
        self.list.push(module);
        for child in facts.modules.iter().filter(|child| child.inside == place.inside) {
            let mut inside = place.inside.clone();
            let mut file = place.file.to_string();
            if child.in_file {
                let found = candidates(&place, here == root, child.path.as_deref(), &child.name)
                    .into_iter()
                    .find(|candidate| files.contains_key(candidate));
                // Left out: a module of another system, or one that is generated.
                let Some(found) = found else { continue };
                file = found;
                inside.clear();
            } else {
                inside.push(child.name.clone());
            }
            let child_place = Place { file: &file, inside, name: &child.name };
            let id = self.add(files, child_place, Some(here), root, in_test || child.in_test);
            self.list[here].children.insert(child.name.clone(), id);
        }
        here
    }

    /// Returns module `id`.
    pub fn get(&self, id: usize) -> &Module {
        &self.list[id]
    }

    /// Returns all modules with their numbers.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Module)> {
        self.list.iter().enumerate()
    }

    /// Whether `id` belongs to the library.
    pub fn is_in_library(&self, id: usize) -> bool {
        self.list[self.list[id].root].file == LIBRARY
    }

    /// Returns the module right below the root that `id` is or is in; `None` for the root.
    pub fn top_of(&self, id: usize) -> Option<&str> {
        let module = &self.list[id];
        match module.parent {
            None => None,
            Some(parent) if parent == module.root => Some(&module.name),
            Some(parent) => self.top_of(parent),
        }
    }

    /// Resolves a path as written in module `from`.
    pub fn resolve(&self, from: usize, path: &PathUse) -> Resolved {
        let mut walk = Walk { modules: self, open: Vec::new(), in_glob: false, passes: Vec::new() };
        match &path.kind {
            // An import does not resolve itself: `use queue::queue`.
            PathKind::Import { name, .. } => walk.open.push((from, name.clone())),
            PathKind::Glob => walk.in_glob = true,
            PathKind::Code => {}
        }
        let target = walk.path(from, &path.segments);
        Resolved { target, passes: walk.passes }
    }

    fn library(&self) -> Option<usize> {
        self.list.iter().position(|module| module.file == LIBRARY && module.parent.is_none())
    }
}

impl Module {
    fn read_imports<'a>(&mut self, paths: impl Iterator<Item = &'a PathUse>) {
        let mut local = Vec::new();
        for path in paths {
            match &path.kind {
                PathKind::Import { name, is_local: false } => {
                    self.imports.insert(name.clone(), path.segments.clone());
                }
                PathKind::Import { name, is_local: true } => {
                    local.push((name.clone(), path.segments.clone()))
                }
                PathKind::Glob => self.globs.push(path.segments.clone()),
                PathKind::Code => {}
            }
        }
        // Imports in blocks count for the whole module, unless it has the name itself.
        for (name, segments) in local {
            self.imports.entry(name).or_insert(segments);
        }
    }
}

/// Where a module is.
struct Place<'a> {
    file: &'a str,
    inside: Vec<String>,
    name: &'a str,
}

/// One path on its way to its target.
struct Walk<'a> {
    modules: &'a Modules,
    /// Names that are being looked up: a cycle of imports ends there.
    open: Vec<(usize, String)>,
    /// Whether the path of a glob is being resolved. Its first name is not searched behind globs.
    in_glob: bool,
    passes: Vec<usize>,
}

impl Walk<'_> {
    fn path(&mut self, from: usize, segments: &[String]) -> Target {
        let Some((first, rest)) = segments.split_first() else {
            return Target::Unknown;
        };
        let module = &self.modules.list[from];
        let mut target = match first.as_str() {
            "" if rest.first().is_some_and(|name| name == "queqiao") => return self.path(from, rest),
            "" => Target::External(Vec::new()),
            "crate" => Target::Module(module.root),
            "self" => Target::Module(from),
            "super" => module.parent.map_or(Target::Unknown, Target::Module),
            "Self" => Target::Unknown,
            name => match self.name(from, name) {
                Target::Unknown if name == "queqiao" => {
                    self.modules.library().map_or(Target::Unknown, Target::Module)
                }
                Target::Unknown if name.starts_with(|c: char| c.is_ascii_lowercase()) => {
                    Target::External(vec![name.to_string()])
                }
                found => found,
            },
        };
        self.pass(&target);
        for name in rest {
            target = match target {
                Target::Module(id) if name == "super" => {
                    self.modules.list[id].parent.map_or(Target::Unknown, Target::Module)
                }
                Target::Module(id) if name == "self" => Target::Module(id),
                Target::Module(id) => match self.name(id, name) {
                    Target::Unknown => Target::Item(id),
                    found => found,
                },
                Target::External(mut path) => {
                    path.push(name.clone());
                    Target::External(path)
                }
                found => return found,
            };
            self.pass(&target);
        }
        target
    }

    fn pass(&mut self, target: &Target) {
        if let Target::Module(id) | Target::Item(id) = target {
            self.passes.push(*id);
        }
    }

    /// Finds `name` in module `id`: a child, an item, an import, or behind a glob.
    fn name(&mut self, id: usize, name: &str) -> Target {
        let module = &self.modules.list[id];
        if let Some(child) = module.children.get(name) {
            return Target::Module(*child);
        }
        if module.items.contains(name) {
            return Target::Item(id);
        }
        if self.open.iter().any(|open| open.0 == id && open.1 == name) {
            return Target::Unknown;
        }
        self.open.push((id, name.to_string()));
        let found = match module.imports.get(name) {
            Some(path) => self.path(id, path),
            None => self.behind_globs(id, name),
        };
        self.open.pop();
        found
    }

    fn behind_globs(&mut self, id: usize, name: &str) -> Target {
        if self.in_glob {
            return Target::Unknown;
        }
        for glob in &self.modules.list[id].globs {
            self.in_glob = true;
            let behind = self.path(id, glob);
            self.in_glob = false;
            if let Target::Module(behind) = behind {
                let found = self.name(behind, name);
                if found != Target::Unknown {
                    return found;
                }
            }
        }
        Target::Unknown
    }
}

/// Whether a file is the root of a crate.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["src", file] => *file == "lib.rs" || *file == "main.rs",
        ["tests" | "benches", _] | ["fuzz", "fuzz_targets", _] => true,
        ["tests" | "benches", _, file] => *file == "main.rs",
        _ => false,
    }
}

/// Returns the files in which the module `name`, declared at `place`, may be.
fn candidates(place: &Place<'_>, is_root: bool, path: Option<&str>, name: &str) -> Vec<String> {
    let (folder, file) = place.file.rsplit_once('/').unwrap_or(("", place.file));
    if let Some(path) = path {
        return vec![normal(&format!("{folder}/{path}"))];
    }
    let stem = file.trim_end_matches(".rs");
    let mut folder = folder.to_string();
    if !is_root && !matches!(file, "mod.rs" | "lib.rs" | "main.rs") {
        folder = format!("{folder}/{stem}");
    }
    for part in &place.inside {
        folder = format!("{folder}/{part}");
    }
    vec![format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]
}

/// Resolves `..` in a path.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{REPOSITORY, Sources};

    /// Returns where the paths of `src/a/mod.rs` lead.
    fn targets(text: &str) -> Vec<String> {
        let sources = Sources::made_up(&[
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a/mod.rs", text),
            ("src/a/queue.rs", "pub fn queue() {} use super::*;"),
            (
                "src/b.rs",
                "pub use std::fs as files; pub use crate::a::queue::*; pub struct B; pub mod inner {}",
            ),
        ]);
        let modules = &sources.modules;
        let (id, _) = modules.all().find(|(_, module)| module.file == "src/a/mod.rs").expect("it is there");
        let paths = sources.rust["src/a/mod.rs"].facts.paths.iter().filter(|path| path.inside.is_empty());
        paths
            .map(|path| match modules.resolve(id, path).target {
                Target::Module(id) => format!("module {} in {}", modules.get(id).name, modules.get(id).file),
                Target::Item(id) => format!("item in {}", modules.get(id).file),
                Target::External(path) => path.join("::"),
                Target::Unknown => "unknown".to_string(),
            })
            .collect()
    }

    #[test]
    fn paths_lead_to_the_file_that_defines_the_item() {
        for (text, target) in [
            ("mod queue; use queue::queue;", "item in src/a/queue.rs"),
            ("mod queue; use crate::b::queue;", "item in src/a/queue.rs"),
            ("use crate::b::{self};", "module b in src/b.rs"),
            ("use super::b::inner;", "module inner in src/b.rs"),
            ("use crate::b::B as C;", "item in src/b.rs"),
            ("use crate::b::files::read;", "std::fs::read"),
            ("use getrandom::getrandom;", "getrandom::getrandom"),
            ("use crate::b::Generated;", "item in src/b.rs"),
            ("fn f(s: &Self) { Self::g(); }", "unknown"),
        ] {
            assert_eq!(targets(text), [target], "{text}");
        }
        assert_eq!(targets("use crate::b as c; fn f() { c::B::new(); }").last().unwrap(), "item in src/b.rs");
        assert_eq!(targets("use crate::b::*; fn f() { inner::g(); }").last().unwrap(), "item in src/b.rs");
    }

    #[test]
    fn cycles_of_imports_and_globs_end() {
        assert_eq!(targets("mod queue; use self::x; use self::queue::*; fn f() { y::z(); }").len(), 3);
        assert_eq!(targets("use self::y as x; use self::x as y;").len(), 2);
    }

    #[test]
    fn every_file_belongs_to_a_crate() {
        let files: BTreeSet<&str> =
            REPOSITORY.modules.all().map(|(_, module)| module.file.as_str()).collect();
        let left = REPOSITORY.rust.keys().filter(|path| !files.contains(path.as_str()));
        crate::assert_none(
            left.map(|path| format!("{path}: no `mod` declares it; the checks do not see it")),
        );
    }

    #[test]
    fn every_path_within_a_crate_is_found() {
        let mut wrong = BTreeSet::new();
        for (id, module) in REPOSITORY.modules.all() {
            let paths = REPOSITORY.rust[&module.file].facts.paths.iter();
            for path in paths.filter(|path| path.inside == module.inside) {
                let is_within = matches!(path.segments[0].as_str(), "crate" | "self" | "super" | "queqiao");
                let target = REPOSITORY.modules.resolve(id, path).target;
                if is_within
                    && matches!(target, Target::Unknown | Target::External(_))
                    && path.segments.len() > 1
                {
                    wrong.insert(format!("{}:{}: {}", module.file, path.line, path.segments.join("::")));
                }
            }
        }
        // The library re-exports nothing of other crates.
        crate::assert_none(wrong);
    }
}
