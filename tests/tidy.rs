//! The rules of this repository, as tests. Each failure names the file and the rule.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Past this a file has more than one idea.
const MAX_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(path: impl AsRef<Path>) -> toml::Table {
    read(&path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// Files with the ending `end` below `dir`, build output and hidden folders left out.
fn files(dir: &Path, end: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "target" || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            files(&path, end, found);
        } else if name.ends_with(end) {
            found.push(path);
        }
    }
}

fn all(end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root(), end, &mut found);
    found
}

fn crates() -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn members() -> Vec<PathBuf> {
    let rest = ["examples", "benches", "tests"].map(|member| root().join(member));
    crates().into_iter().chain(rest).collect()
}

fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn no_file_is_longer_than_one_idea() {
    let offenders: Vec<_> = all(".rs")
        .iter()
        .map(|path| (read(path).lines().count(), path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{lines} {}", path.display()))
        .collect();
    assert_none("at most 600 lines a file; split it by idea", &offenders);
}

#[test]
fn every_member_inherits_the_lints_and_the_package_fields() {
    let mut offenders = Vec::new();
    for member in members() {
        let manifest = manifest(member.join("Cargo.toml"));
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(toml::Value::as_bool) != Some(true) {
            offenders.push(format!("{}: [lints] workspace = true", member.display()));
        }
        for field in ["version", "edition", "rust-version", "license"] {
            let inherited = manifest["package"].get(field).and_then(|value| value.get("workspace"));
            if inherited.is_none() {
                offenders.push(format!("{}: {field}.workspace = true", member.display()));
            }
        }
    }
    assert_none("inherit from the workspace", &offenders);
}

#[test]
fn every_dependency_version_stands_in_the_root_manifest() {
    let mut offenders = Vec::new();
    for member in members() {
        let manifest = manifest(member.join("Cargo.toml"));
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(kind).and_then(toml::Value::as_table) else { continue };
            for (name, value) in table {
                if value.get("workspace").is_none() {
                    offenders.push(format!("{}: {name}", member.display()));
                }
            }
        }
    }
    assert_none("dependencies say `workspace = true`", &offenders);
}

#[test]
fn every_crate_has_a_readme_and_documentation() {
    let mut offenders = Vec::new();
    for path in crates() {
        let readme = fs::read_to_string(path.join("README.md")).unwrap_or_default();
        if readme.lines().count() < 10 {
            offenders.push(format!(
                "{}: a README.md that says what it is and how to use it",
                path.display()
            ));
        }
        if !read(path.join("src/lib.rs")).starts_with("//! ") {
            offenders.push(format!("{}: src/lib.rs opens with its documentation", path.display()));
        }
        let manifest = manifest(path.join("Cargo.toml"));
        let name = path.file_name().unwrap().to_string_lossy();
        if manifest["package"]["name"].as_str() != Some(&*name) {
            offenders.push(format!("{}: the folder is named as the crate", path.display()));
        }
        if manifest["package"].get("description").is_none() {
            offenders.push(format!("{}: a description", path.display()));
        }
    }
    assert_none("every crate has README and docs", &offenders);
}

#[test]
fn every_program_is_listed_in_its_readme_and_every_listed_program_exists() {
    let mut offenders = Vec::new();
    for (folder, kind) in [("examples", "example"), ("benches", "bench")] {
        let folder = root().join(folder);
        let readme = read(folder.join("README.md"));
        let manifest = manifest(folder.join("Cargo.toml"));
        let programs =
            manifest.get(kind).and_then(toml::Value::as_array).cloned().unwrap_or_default();
        let mut named = BTreeSet::new();
        for program in &programs {
            let name = program["name"].as_str().unwrap().to_owned();
            if !readme.contains(&format!("`{name}`")) {
                offenders.push(format!("{}: `{name}` is not in its README", folder.display()));
            }
            let path = program["path"].as_str().unwrap().to_owned();
            if !folder.join(&path).exists() {
                offenders.push(format!("{}: {path} of `{name}` does not exist", folder.display()));
            }
            named.insert(path);
        }
        let known: Vec<_> =
            programs.iter().filter_map(|program| program["name"].as_str()).collect();
        for row in readme.lines().filter_map(|line| line.strip_prefix("| `")) {
            let name = row.split('`').next().unwrap();
            if !known.contains(&name) {
                offenders.push(format!("{}: its README lists `{name}`", folder.display()));
            }
        }
        for entry in fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            if name.ends_with(".rs") && !named.contains(&name) {
                offenders.push(format!("{}: {name} is not in its Cargo.toml", folder.display()));
            }
        }
    }
    assert_none("programs and their README agree", &offenders);
}

#[test]
fn make_test_runs_every_example_that_ends_by_itself() {
    let manifest = manifest(root().join("examples/Cargo.toml"));
    let script = read(root().join("scripts/test"));
    let list = script.split("for example in ").nth(1).unwrap().split(';').next().unwrap();
    let run: BTreeSet<_> = list.split_whitespace().collect();
    let examples = manifest["example"].as_array().unwrap();
    let names: BTreeSet<_> = examples
        .iter()
        .map(|example| example["name"].as_str().unwrap())
        // It has tests of its own that run it.
        .filter(|name| *name != "marketplace")
        .collect();
    assert_eq!(run, names);
}

#[test]
fn dependencies_between_our_crates_point_downwards_only() {
    let allowed = |name: &str| -> &[&str] {
        match name {
            "seawall-metrics" | "seawall-scale" | "seawall-alert" => &["seawall-signal"],
            "seawall-http" | "seawall-session" => &["seawall-cache"],
            "seawall-cache" | "seawall-limit" => &["seawall-redis"],
            "seawall-pool" => &["seawall-balance"],
            "seawall-history" => &["seawall-metrics", "seawall-alert", "seawall-scale"],
            "seawall-dashboard" => {
                &["seawall-metrics", "seawall-alert", "seawall-scale", "seawall-history"]
            }
            "seawall-load" => &["seawall-metrics"],
            _ => &[],
        }
    };
    let mut offenders = Vec::new();
    for path in crates() {
        let manifest = manifest(path.join("Cargo.toml"));
        let name = manifest["package"]["name"].as_str().unwrap();
        if name == "seawall" {
            continue;
        }
        let Some(table) = manifest.get("dependencies").and_then(toml::Value::as_table) else {
            continue;
        };
        for other in table.keys().filter(|other| other.starts_with("seawall")) {
            if !allowed(name).contains(&other.as_str()) {
                offenders.push(format!("{name} depends on {other}"));
            }
        }
    }
    assert_none("layering of docs/architecture.md", &offenders);
}

#[test]
fn tests_wait_for_conditions_and_library_code_has_no_leftovers() {
    let mut offenders = Vec::new();
    for path in all(".rs") {
        if path.ends_with("tests/tidy.rs") {
            continue;
        }
        for (number, line) in read(&path).lines().enumerate() {
            let place = || format!("{}:{}", path.display(), number + 1);
            let is_test = path.components().any(|part| part.as_os_str() == "tests")
                || path.ends_with("tests.rs");
            if is_test && line.contains("thread::sleep(") {
                offenders.push(format!("{}: sleeps a thread", place()));
            }
            if ["TODO", "FIXME", "XXX", "HACK"].iter().any(|word| line.contains(word)) {
                offenders.push(format!("{}: a left-over", place()));
            }
            if line.contains("#[ignore") {
                offenders.push(format!("{}: an ignored test", place()));
            }
        }
    }
    assert_none("no left-overs", &offenders);
}

#[test]
fn the_toolchain_of_ci_is_the_one_the_workspace_promises() {
    let manifest = manifest(root().join("Cargo.toml"));
    let version = manifest["workspace"]["package"]["rust-version"].as_str().unwrap().to_owned();
    let workflow = read(root().join(".github/workflows/ci.yml"));
    assert!(
        workflow.contains(&format!("toolchain: [stable, \"{version}\"]")),
        "rust-version is {version}"
    );
}

#[test]
fn the_top_level_holds_what_the_design_names() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "Makefile",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "crates",
        "examples",
        "benches",
        "docs",
        "tests",
        "scripts",
        "deploy",
        "target",
    ];
    let offenders: Vec<_> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !known.contains(&name.as_str()))
        .collect();
    assert_none("unexpected at the top level", &offenders);
}

#[test]
fn every_test_that_a_document_names_exists() {
    let (mut offenders, mut named) = (Vec::new(), 0);
    for path in crates() {
        let (mut documents, mut sources) = (Vec::new(), Vec::new());
        files(&path, ".md", &mut documents);
        files(&path, ".rs", &mut sources);
        let source: String = sources.iter().map(read).collect();
        for document in &documents {
            for word in read(document).split('`').skip(1).step_by(2) {
                // `module::name_of_a_test`: code is called otherwise.
                let Some((module, test)) = word.rsplit_once("::") else { continue };
                let lower = |word: &str| {
                    word.chars()
                        .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_')
                };
                if !lower(module) || !lower(test) || test.matches('_').count() < 3 {
                    continue;
                }
                named += 1;
                if !source.contains(&format!("fn {test}(")) {
                    offenders.push(format!("{}: {word}", document.display()));
                }
            }
        }
    }
    assert!(named > 100, "only {named} were found: has the form changed?");
    assert_none("a test that a document names is not there", &offenders);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut offenders = Vec::new();
    for path in all(".md") {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            if !path.parent().unwrap().join(target).exists() {
                offenders.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert_none("dead links", &offenders);
}

/// A user of the facade must reach what a user of a crate reaches.
#[test]
fn the_facade_passes_on_every_feature_or_says_why_not() {
    let facade = root().join("crates/seawall");
    let (own, readme) = (manifest(facade.join("Cargo.toml")), read(facade.join("README.md")));
    let features = own["features"].as_table().unwrap();
    let named = |text: &str| readme.contains(&format!("`{text}`"));
    let mut offenders: Vec<_> = features
        .keys()
        .filter(|feature| *feature != "default" && !named(feature))
        .map(|feature| format!("README.md does not name `{feature}`"))
        .collect();
    for name in own["dependencies"].as_table().unwrap().keys() {
        let theirs = manifest(root().join("crates").join(name).join("Cargo.toml"));
        let theirs = theirs.get("features").and_then(toml::Value::as_table).cloned();
        for feature in theirs.unwrap_or_default().keys().filter(|feature| *feature != "default") {
            let passed = features.get(feature).and_then(toml::Value::as_array);
            let passed = passed.is_some_and(|to| {
                to.iter().any(|to| to.as_str() == Some(&format!("{name}?/{feature}")))
            });
            // Passed on under the feature's own name, or in the list of those that are not.
            if passed == readme.contains(&format!("| `{name}/{feature}` |")) {
                offenders
                    .push(format!("{name}/{feature}: passed on, or listed as not, and not both"));
            }
        }
    }
    assert_none("the facade seawall passes on what its crates offer", &offenders);
}
