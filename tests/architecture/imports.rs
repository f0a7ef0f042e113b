//! Layers: which module may use which, and which paths are banned in sans-IO modules.

use std::collections::BTreeSet;

use crate::files::Sources;
use crate::modules::{Module, Target};

/// Each module with its layer and the modules that it may use. `src/lib.rs` lists the same layers.
pub const ALLOWED_IMPORTS: &[(&str, u8, &[&str])] = &[
    ("base", 0, &[]),
    ("wire", 1, &["base"]),
    ("session", 2, &["base", "wire"]),
    ("link", 2, &["base", "wire"]),
    ("peer", 3, &["base", "wire", "session", "link"]),
    ("relay", 4, &["base", "wire", "session", "link", "peer"]),
    ("client", 4, &["base", "wire", "session", "link", "peer"]),
    ("contacts", 5, &["base"]),
    ("store", 5, &["base", "relay", "client"]),
    ("net", 5, &["base", "wire"]),
    ("ui", 6, &["base", "wire", "client", "contacts", "store"]),
    (
        "app",
        7,
        &["base", "wire", "session", "link", "peer", "relay", "client", "contacts", "store", "net", "ui"],
    ),
    (
        "cli",
        8,
        &[
            "base", "wire", "session", "link", "peer", "relay", "client", "contacts", "store", "net", "ui",
            "app",
        ],
    ),
];

/// The highest layer without sockets, files, threads, clocks and global randomness.
const SANS_IO_LAYER_MAX: u8 = 4;

/// Paths that a sans-IO module may not use, each with the reason.
const BANNED: &[(&str, &str)] = &[
    ("std::net::UdpSocket", "sockets belong to net"),
    ("std::net::TcpStream", "sockets belong to net"),
    ("std::net::TcpListener", "sockets belong to net"),
    ("std::net::ToSocketAddrs", "host names are resolved in net"),
    ("std::os", "sockets and files belong to higher layers"),
    ("std::fs", "files belong to store and contacts"),
    ("std::io", "input and output belong to higher layers"),
    ("std::print", "input and output belong to higher layers"),
    ("std::println", "input and output belong to higher layers"),
    ("std::eprint", "input and output belong to higher layers"),
    ("std::eprintln", "input and output belong to higher layers"),
    ("std::thread", "threads belong to higher layers"),
    ("std::env", "the environment belongs to cli"),
    ("std::process", "processes belong to app and cli"),
    ("std::time::Instant", "time comes in as base::Now"),
    ("std::time::SystemTime", "time comes in as base::Now"),
    ("std::time::UNIX_EPOCH", "time comes in as base::Now"),
    ("std::collections::HashMap", "its order differs from run to run"),
    ("std::collections::HashSet", "its order differs from run to run"),
    ("std::collections::hash_map", "its order differs from run to run"),
    ("std::collections::hash_set", "its order differs from run to run"),
    ("std::hash::RandomState", "randomness comes from a seed"),
    ("getrandom", "randomness comes from a seed"),
    ("mio", "sockets belong to net"),
    ("socket2", "sockets belong to net"),
    ("quinn_udp", "sockets belong to net"),
    ("rustix", "the system belongs to net, store and cli"),
    ("nix", "the system belongs to net, store and cli"),
    ("rusqlite", "files belong to store"),
];

/// Returns each use of a module that the table does not allow.
pub fn forbidden_imports(sources: &Sources) -> BTreeSet<String> {
    let modules = &sources.modules;
    let mut wrong = BTreeSet::new();
    for (id, module) in modules.all() {
        // The program itself only calls `cli`.
        let own = match module.file.as_str() {
            "src/main.rs" => "cli",
            _ if !modules.is_in_library(id) => continue,
            _ => match modules.top_of(id) {
                Some(own) => own,
                None => continue,
            },
        };
        let Some((_, _, allowed)) = ALLOWED_IMPORTS.iter().find(|row| row.0 == own) else {
            wrong.insert(format!("{}: module `{own}` has no row in the table of layers", module.file));
            continue;
        };
        for path in paths_of(sources, module) {
            let resolved = modules.resolve(id, path);
            let tops = resolved.passes.iter().filter(|pass| modules.is_in_library(**pass));
            let used = tops.filter_map(|pass| modules.top_of(*pass)).find(|used| *used != own);
            if let Some(used) = used.filter(|used| !allowed.contains(used)) {
                wrong.insert(format!("{}:{}: `{own}` may not use `{used}`", module.file, path.line));
            }
        }
    }
    wrong
}

/// Returns each use of the outside world in a sans-IO module.
pub fn banned_outside(sources: &Sources) -> BTreeSet<String> {
    let modules = &sources.modules;
    let mut wrong = BTreeSet::new();
    for (id, module) in modules.all().filter(|(id, _)| modules.is_in_library(*id)) {
        let layer = modules.top_of(id).and_then(|top| ALLOWED_IMPORTS.iter().find(|row| row.0 == top));
        if layer.is_none_or(|row| row.1 > SANS_IO_LAYER_MAX) {
            continue;
        }
        for path in paths_of(sources, module) {
            let Target::External(used) = modules.resolve(id, path).target else { continue };
            let is_glob = path.kind == crate::facts::PathKind::Glob;
            if let Some((banned, reason)) = banned(&used, is_glob) {
                wrong.insert(format!("{}:{}: `{banned}`: {reason}", module.file, path.line));
            }
        }
        for line in &sources.rust[&module.file].facts.allowed {
            wrong.insert(format!("{}:{line}: clippy's bans hold in sans-IO modules", module.file));
        }
    }
    wrong
}

/// Returns the ban that `used` breaks. A glob breaks those of everything that it brings in.
fn banned(used: &[String], is_glob: bool) -> Option<&'static (&'static str, &'static str)> {
    let used: Vec<&str> = match used.split_first() {
        Some((first, rest)) if first == "core" || first == "alloc" => {
            std::iter::once("std").chain(rest.iter().map(String::as_str)).collect()
        }
        _ => used.iter().map(String::as_str).collect(),
    };
    BANNED.iter().find(|(banned, _)| {
        let banned: Vec<&str> = banned.split("::").collect();
        used.starts_with(&banned) || (is_glob && banned.starts_with(&used))
    })
}

fn paths_of<'a>(sources: &'a Sources, module: &'a Module) -> impl Iterator<Item = &'a crate::facts::PathUse> {
    sources.rust[&module.file].facts.paths.iter().filter(|path| path.inside == module.inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::REPOSITORY;

    const LIB: &str = "//! x\npub mod base;\npub mod wire;\npub mod net;\npub mod relay;\npub mod client;\n";

    /// Checks `src/relay/mod.rs` and its child `src/relay/flows.rs` among small modules.
    fn relay_with(parent: &str, child: &str) -> Sources {
        Sources::made_up(&[
            ("src/lib.rs", LIB),
            ("src/base/mod.rs", "pub struct Now;"),
            (
                "src/wire/mod.rs",
                "mod packet; pub use packet::Packet; pub mod size { pub const MAX: usize = 1; }",
            ),
            ("src/wire/packet.rs", "pub struct Packet;"),
            ("src/net/mod.rs", "pub mod udp; pub fn now() {}"),
            ("src/net/udp.rs", "pub struct Socket;"),
            ("src/client/mod.rs", "pub struct Client;"),
            ("src/relay/mod.rs", &format!("mod flows; {parent}")),
            ("src/relay/flows.rs", child),
        ])
    }

    fn imports(child: &str) -> Vec<String> {
        forbidden_imports(&relay_with("", child)).into_iter().collect()
    }

    fn outside(child: &str) -> Vec<String> {
        banned_outside(&relay_with("", child)).into_iter().collect()
    }

    #[test]
    fn modules_use_lower_layers_only() {
        crate::assert_none(forbidden_imports(&REPOSITORY));
    }

    #[test]
    fn sans_io_modules_touch_nothing_outside() {
        crate::assert_none(banned_outside(&REPOSITORY));
    }

    #[test]
    fn rows_of_the_table_allow_lower_layers_only() {
        let layer_of = |name| ALLOWED_IMPORTS.iter().find(|row| row.0 == name).expect("it has a row").1;
        for (name, layer, allowed) in ALLOWED_IMPORTS {
            assert!(allowed.iter().all(|used| layer_of(*used) < *layer), "{name} on layer {layer}");
        }
    }

    #[test]
    fn lib_rs_lists_each_module_with_its_layer() {
        let lib = &REPOSITORY.rust["src/lib.rs"].text;
        for (module, layer, _) in ALLOWED_IMPORTS {
            assert!(lib.contains(&format!("//! | {layer} | [`{module}`] |")), "`{module}`, layer {layer}");
            assert!(lib.contains(&format!("pub mod {module};")), "src/lib.rs does not export `{module}`");
        }
        assert_eq!(lib.matches("\npub mod ").count(), ALLOWED_IMPORTS.len(), "modules without a row");
    }

    #[test]
    fn upward_import_is_found_in_any_form() {
        let found = "src/relay/flows.rs:1: `relay` may not use `net`";
        for child in [
            "use crate::net;",
            "use crate::net::udp::Socket;",
            "use crate::{base::Now, net::{udp::Socket, now}};",
            "use crate::net::*;",
            "use crate::net as outside;",
            "pub use crate::net::udp::Socket as Plug;",
            "use super::super::net::now;",
            "use crate::relay::super::net::now;",
            "use ::queqiao::net::now;",
            "use queqiao::net::now;",
            "fn f() { crate::net::now(); }",
            "fn f() { use crate::net::now; now(); }",
            "fn f(socket: super::super::net::udp::Socket) {}",
            "fn f() { assert_eq!(1, crate::net::udp::next(2)); }",
            "macro_rules! m { () => { $crate::net::now() }; }",
            "macro_rules! m { () => { use crate::{base::Now, net::{now}}; }; }",
            "mod inner { use super::super::super::net::now; }",
            "#[derive(crate::net::Derive)] struct S;",
            "#[crate::net::attribute] struct S;",
            "#[arg(value_parser = crate::net::parse)] struct S;",
            "impl crate::net::Trait for S {}",
            "fn f(a: Vec<Option<crate::net::Kind>>) {}",
            "fn f() { if let crate::net::Kind::One = x {} }",
            "pub(crate) use crate::{net::{udp::{self as plug}}, base::Now};",
            "#[cfg(test)] mod tests { fn f() { crate::net::now(); } }",
        ] {
            assert_eq!(imports(child), [found], "{child}");
        }
    }

    #[test]
    fn lines_of_multi_line_import_are_named() {
        let child = "//! x\nuse crate::{\n    base::Now,\n    client::{\n        Client,\n    },\n};\n";
        assert_eq!(imports(child), ["src/relay/flows.rs:5: `relay` may not use `client`"]);
    }

    #[test]
    fn allowed_neighbours_of_upward_imports_pass() {
        for child in [
            "use crate::base::Now;",
            "use crate::{base::Now, wire::{Packet, size::MAX}};",
            "use super::*;",
            "use crate::relay;",
            "pub(in crate::relay) struct S; pub(super) struct T;",
            "// crate::net::now()\n/// [`crate::net`]\nfn f() {}",
            "fn f() -> &'static str { \"crate::net\" }",
            "mod net { pub fn now() {} } use self::net::now; fn f() { net::now(); }",
            "fn f() { let net = 1; g!(net, a.net); }",
        ] {
            assert_eq!(imports(child), Vec::<String>::new(), "{child}");
        }
    }

    #[test]
    fn module_without_row_is_found() {
        let sources = Sources::made_up(&[("src/lib.rs", "mod extra;"), ("src/extra.rs", "")]);
        assert_eq!(forbidden_imports(&sources).len(), 1);
    }

    #[test]
    fn main_uses_cli_and_lower_layers() {
        let lib = ("src/lib.rs", "pub mod cli; pub mod net;");
        let cli = ("src/cli.rs", "pub fn main() {} fn f() { crate::app::run(); }");
        let main = ("src/main.rs", "fn main() { queqiao::cli::main() }");
        let sources = Sources::made_up(&[lib, cli, main, ("src/net.rs", "fn f() { crate::cli::main(); }")]);
        let found: Vec<_> = forbidden_imports(&sources).into_iter().collect();
        assert_eq!(found, ["src/net.rs:1: `net` may not use `cli`"]);
    }

    #[test]
    fn each_banned_path_is_found_in_any_form() {
        for (path, reason) in BANNED {
            let (head, name) = path.rsplit_once("::").unwrap_or(("", path));
            let found = [format!("src/relay/flows.rs:1: `{path}`: {reason}")];
            assert_eq!(outside(&format!("use {path};")), found);
            assert_eq!(outside(&format!("use ::{path};")), found);
            assert_eq!(outside(&format!("use {path} as Other;")), found);
            assert_eq!(outside(&format!("fn f() {{ {path}::f(); }}")), found);
            assert_eq!(outside(&format!("fn f() {{ vec![{path}::f()]; }}")), found);
            if !head.is_empty() {
                assert_eq!(outside(&format!("use {head}::{{\n{name}\n}};")).len(), 1, "{path}");
            }
        }
        assert_eq!(outside("use std::collections; fn f(m: collections::HashMap<u8, u8>) {}").len(), 1);
        assert_eq!(outside("use std::time as t; fn f() { t::Instant::now(); }").len(), 1);
        assert_eq!(outside("use std::collections::*;").len(), 1);
        assert_eq!(outside("#![allow(clippy::disallowed_types)]").len(), 1);
        assert_eq!(outside("#[expect(clippy::disallowed_methods)] fn f() {}").len(), 1);
    }

    #[test]
    fn allowed_neighbours_of_banned_paths_pass() {
        for child in [
            "use std::net::{IpAddr, SocketAddr};",
            "use std::{collections::{BTreeMap, BTreeSet}, time::Duration};",
            "use std::collections::{self, BTreeMap};",
            "struct HashMap; struct SystemTime; fn f(time: SystemTime) { SystemTime::new(); }",
            "// std::fs::read\nfn f() -> &'static str { \"std::fs\" }",
            "mod fs { pub fn read() {} } fn f() { fs::read(); }",
            "fn f() { x.std::<fs>(); y.thread.io(); }",
        ] {
            assert_eq!(outside(child), Vec::<String>::new(), "{child}");
        }
        let above = relay_with("", "");
        assert!(banned_outside(&above).is_empty());
        let net =
            Sources::made_up(&[("src/lib.rs", "pub mod net;"), ("src/net.rs", "use std::net::UdpSocket;")]);
        assert!(banned_outside(&net).is_empty());
    }
}
