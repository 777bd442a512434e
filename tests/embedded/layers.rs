//! Who may import whom, held against the sources: the lines of ARCHITECTURE.md, no circles within a folder, the
//! libraries that only one place names, and a first line that says what each file is for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::imports::{Modules, code, paths_below, sources};

/// The top module that a file belongs to.
fn module(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// What ARCHITECTURE.md says of who may import whom.
struct Architecture {
    /// The line of each module in the diagram, from the top.
    lines: BTreeMap<String, usize>,
    /// From the table below it: what a module imports at the most.
    imports_only: BTreeMap<String, BTreeSet<String>>,
    /// And who imports it at the most.
    imported_only_by: BTreeMap<String, BTreeSet<String>>,
}

impl Architecture {
    fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
        let text = std::fs::read_to_string(file).unwrap();
        Self::parse(text.split_once("A module imports only from lines below its own").unwrap().1)
    }

    fn parse(text: &str) -> Self {
        let (_, text) = text.split_once("```\n").unwrap();
        let (diagram, text) = text.split_once("```\n").unwrap();
        let of_line = |(line, text): (usize, &str)| -> Vec<(String, usize)> {
            text.split_whitespace().map(|module| (module.to_owned(), line)).collect()
        };
        let lines: BTreeMap<String, usize> = diagram.lines().enumerate().flat_map(of_line).collect();
        let (mut imports_only, mut imported_only_by) = (BTreeMap::new(), BTreeMap::new());
        let rows = text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        for row in rows.skip(2) {
            let [_, modules, only, by, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
            // What stands in backticks.
            let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
            let all = [modules, only, by].map(names);
            for name in all.iter().flatten() {
                assert!(lines.contains_key(name.split("::").next().unwrap()), "{name} is not in the diagram: {row}");
            }
            let [modules, listed, listed_by] = all;
            for module in modules {
                if !only.trim().is_empty() {
                    imports_only.insert(module.clone(), listed.clone());
                }
                if !by.trim().is_empty() {
                    imported_only_by.insert(module, listed_by.clone());
                }
            }
        }
        Self { lines, imports_only, imported_only_by }
    }

    /// Why a module may not name something of another one.
    fn forbids(&self, own: &str, path: &[String]) -> Option<String> {
        let other = path[0].as_str();
        let named = path[..path.len().min(2)].join("::");
        if other == own || !self.lines.contains_key(other) {
            return None;
        }
        if self.lines[other] <= self.lines[own] {
            return Some(format!("{own} does not stand above {other}"));
        }
        if self.imports_only.get(own).is_some_and(|only| !only.contains(other) && !only.contains(&named)) {
            return Some(format!("{own} imports only {:?}", self.imports_only[own]));
        }
        let by = self.imported_only_by.get(other).filter(|by| !by.contains(own));
        by.map(|by| format!("{other} is imported only by {by:?}"))
    }
}

#[test]
fn imports_follow_the_diagram() {
    let architecture = Architecture::read();
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let own = module(&file);
        let root = if own == "main" { "rekindle::" } else { "crate::" };
        let paths = paths_below(&code(&text), root);
        if own == "lib" {
            assert!(paths.is_empty(), "src/lib.rs names {paths:?}");
        } else if !architecture.lines.contains_key(own) {
            broken.push(format!("src/{file}: the module `{own}` is not in the diagram of ARCHITECTURE.md"));
        } else {
            let reasons = paths.iter().filter_map(|path| Some((path, architecture.forbids(own, path)?)));
            broken.extend(reasons.map(|(path, why)| format!("src/{file} names {root}{}: {why}", path.join("::"))));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_diagram_names_no_module_that_is_gone() {
    let files: BTreeSet<String> = sources().keys().map(|file| module(file).to_owned()).collect();
    let lines = Architecture::read().lines;
    let gone: Vec<&String> = lines.keys().filter(|module| !files.contains(*module)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn the_diagram_is_read_as_it_is_drawn() {
    let text = "\n```\nhigh\nmiddle  aside\nlow base\n```\n\nStricter:\n\n| module | imports only | is imported only by |\n\
        |---|---|---|\n| `aside` | `low::open` | |\n| `base` | nothing | `high` |\n";
    let architecture = Architecture::parse(text);
    let check = |own: &str, path: &str, fine: bool| {
        let path: Vec<String> = path.split("::").map(str::to_owned).collect();
        assert_eq!(architecture.forbids(own, &path).is_none(), fine, "{own} {path:?}");
    };
    check("high", "middle::x", true);
    check("high", "base", true);
    check("high", "elsewhere", true);
    check("middle", "aside", false);
    check("middle", "high", false);
    check("middle", "base", false);
    check("aside", "low::open", true);
    check("aside", "low::shut", false);
    check("base", "low", false);
    check("low", "low::x", true);
}

#[test]
fn the_files_of_a_folder_import_each_other_in_no_circle() {
    let circles = Modules::read(&sources()).circles();
    assert!(circles.is_empty(), "{}", circles.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let check = |files: &[(&str, &str)], expected: &[&str]| {
        let sources = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let circles = Modules::read(&sources).circles();
        let found: Vec<&str> = circles.iter().map(|circle| circle.split(" (").next().unwrap()).collect();
        assert_eq!(found, expected, "{files:?}");
    };
    let ab = ["src/: a -> b"];
    check(&[("a.rs", "use crate::b::B;"), ("b.rs", "use crate::c::C;"), ("c.rs", "")], &[]);
    check(&[("a.rs", "use crate::b::B;"), ("b.rs", "use super::a::A;")], &ab);
    check(&[("a.rs", "use crate::{c, b::{self, B}};"), ("b.rs", "fn f() { crate::a::f(); }")], &ab);
    check(&[("b.rs", "use crate::c;"), ("c.rs", "use crate::a;"), ("a.rs", "use crate::b;")], &["src/: a -> b -> c"]);
    // A file and its folder are one module.
    check(&[("a.rs", "mod x;"), ("a/x.rs", "use crate::b;"), ("b/mod.rs", ""), ("b/y.rs", "use crate::a;")], &ab);
    check(&[("a/mod.rs", "use x::X; mod x;"), ("a/x.rs", "use super::Y;")], &[]);
    check(
        &[("a/mod.rs", "mod x; mod y;"), ("a/x.rs", "use super::y::Y;"), ("a/y.rs", "use crate::a::x::X;")],
        &["src/a/: x -> y"],
    );
    // What a module passes on is its owner's.
    check(
        &[("a/mod.rs", "pub use x::{X as Z}; mod x;"), ("a/x.rs", "use super::y;"), ("a/y.rs", "use super::Z;")],
        &["src/a/: x -> y"],
    );
    // Tests may look at each other's files, and comments name what they want.
    check(&[("a.rs", "use crate::b; // crate::a"), ("b.rs", "#[cfg(test)]\nmod tests { use crate::a; }")], &[]);
    check(
        &[("a.rs", "use crate::b;"), ("b.rs", ""), ("b/tests.rs", "use crate::a;"), ("b/tests/x.rs", "use crate::a;")],
        &[],
    );
}

#[test]
fn a_library_is_named_in_its_one_place() {
    let places: &[(&str, &[&str])] = &[
        ("lapin", &["queue/rabbitmq/"]),
        ("lettre", &["transports/mail.rs", "transports/smtp/"]),
        ("async_imap", &["inbound/bounces/imap.rs"]),
        ("handlebars", &["rendering/"]),
        ("reqwest", &["transports/sms/"]),
        ("sqlx", &["store/"]),
        ("axum", &["web/"]),
        ("maud", &["web/", "reports/html"]),
        ("metrics_exporter_prometheus", &["web/"]),
        ("clap", &["cli/"]),
        ("mail_parser", &["inbound/bounces/"]),
    ];
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let code = code(&text);
        for (library, homes) in places {
            let named = code
                .match_indices(&format!("{library}::"))
                .any(|(start, _)| !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            if named && !homes.iter().any(|home| file.starts_with(home)) {
                broken.push(format!("src/{file} names {library}; only {} may", homes.join(" and ")));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_clock_reads_the_systems_time_and_only_the_settings_the_environment() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let code = code(&text);
        for (call, home) in [
            ("Utc::now(", "clock.rs"),
            ("Local::now(", "clock.rs"),
            ("SystemTime::now(", "clock.rs"),
            ("Uuid::now_v7(", "clock.rs"),
            ("env::var(", "settings.rs"),
            ("env::var_os(", "settings.rs"),
        ] {
            if file != home && !file.contains("/tests") && code.contains(call) {
                broken.push(format!("src/{file} calls {call}…); only src/{home} may"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_domain_neither_waits_nor_reads_nor_writes() {
    let mut broken = Vec::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| file.starts_with("domain/")) {
        // To read an address asks nobody for it.
        let code = code(&text).replace("std::net::IpAddr", "");
        for word in
            ["async fn", "async{", "async move", ".await", "tokio::", "std::fs", "std::net", "std::io", "std::env"]
        {
            if code.contains(word) {
                broken.push(format!("src/{file} has `{word}`; the domain is pure"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "these files have no `//!` in their first line: {silent:?}");
}

#[test]
fn every_trigger_and_helper_stands_beside_its_line_in_the_list() {
    let sources = sources();
    for (folder, list) in [("triggers/", "triggers/mod.rs"), ("rendering/helpers/", "rendering/helpers/mod.rs")] {
        for file in sources
            .keys()
            .filter(|file| file.starts_with(folder) && !file.ends_with("/mod.rs") && !file.ends_with("/tests.rs"))
        {
            let name = file.trim_start_matches(folder).trim_end_matches(".rs");
            let uses = code(&sources[list]).matches(&format!("{name}::")).count();
            assert!(uses > 0, "src/{file} is not in the list of src/{list}");
        }
    }
}

#[test]
fn the_reader_of_imports_sees_them_all() {
    let check = |text: &str, expected: &[&str]| {
        let found = paths_below(&code(text), "crate::");
        assert_eq!(found.iter().map(|path| path.join("::")).collect::<Vec<_>>(), expected, "{text}");
    };
    check("use crate::store::{Store, Tx};", &["store::Store", "store::Tx"]);
    check("use crate::{plan, domain::member::Brand};", &["domain::member::Brand", "plan"]);
    check("use crate::{store::{A, B}, clock::Clock};", &["clock::Clock", "store::A", "store::B"]);
    check("fn f(x: &crate::store::Tx) {} // crate::cli", &["store::Tx"]);
    check("pub(crate) use words; pub(in crate::domain) fn f() {}", &["domain"]);
    check("$crate::store::Tx", &[]);
}
