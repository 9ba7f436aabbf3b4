//! JSON examples in the documentation, compared with the golden outputs that they stand for.
//!
//! Each block begins after a comment that names a golden file and its section:
//! `<!-- golden: format_webhook.txt opened -->`. The example has the same fields, of the same types; values differ.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::shape;

const FENCE: &str = "```json";
const MARK: &str = "<!-- golden: ";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A JSON block of a document.
#[derive(Debug)]
struct Example {
    place: String,
    /// The golden file and its section, where a comment names them.
    golden: Option<(String, String)>,
    json: String,
}

/// Returns the JSON blocks of a document.
fn examples(document: &str, text: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut golden = None;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(mark) = line.strip_prefix(MARK) {
            let mark = mark.strip_suffix(" -->");
            golden = mark.and_then(|mark| mark.split_once(' '));
        } else if line.trim_start() == FENCE {
            let block = lines.by_ref().map(|(_, line)| line);
            let block: Vec<_> = block.take_while(|line| line.trim() != "```").collect();
            examples.push(Example {
                place: format!("{document}:{}", number + 1),
                golden: golden
                    .take()
                    .map(|(file, section)| (file.to_owned(), section.to_owned())),
                json: block.join("\n"),
            });
        } else if !line.trim().is_empty() {
            golden = None;
        }
    }
    examples
}

/// Returns the paths and types of a section of a golden file, which holds a document or its paths.
fn golden_shape(file: &str, section: &str) -> String {
    let path = root().join("collector/tests/golden").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let heading = format!("==== {section}\n");
    let Some((_, rest)) = text.split_once(&heading) else {
        panic!("{file} has no section {section}");
    };
    let body = rest.split("\n==== ").next().unwrap_or_default();
    match body.find("\n{\n") {
        Some(start) => shape::of_json(&serde_json::from_str(&body[start..]).unwrap()),
        None => body.trim_end().to_owned() + "\n",
    }
}

#[test]
fn json_examples_have_the_fields_of_the_golden_outputs() {
    let mut documents = vec![root().join("README.md")];
    let docs = fs::read_dir(root().join("docs")).unwrap();
    documents.extend(docs.map(|entry| entry.unwrap().path()));
    let mut checked = 0;
    for path in documents {
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for example in examples(&path.display().to_string(), &text) {
            let place = &example.place;
            let Some((file, section)) = &example.golden else {
                panic!("{place}: name a golden output in a comment before it");
            };
            let json: Value = serde_json::from_str(&example.json)
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            let (shown, golden) = (shape::of_json(&json), golden_shape(file, section));
            assert_eq!(shown, golden, "{place} and {file}, section {section}");
            checked += 1;
        }
    }
    assert!(checked > 0, "no example was found");
}

#[test]
fn an_example_without_a_mark_is_found() {
    let text = format!("{MARK}a.txt one -->\n\n{FENCE}\n1\n```\ntext\n{FENCE}\n2\n```\n");
    let found = examples("x.md", &text);
    let marks: Vec<_> = found.iter().map(|one| one.golden.is_some()).collect();
    assert_eq!(marks, [true, false]);
    assert_eq!(
        (found[1].json.as_str(), found[1].place.as_str()),
        ("2", "x.md:7")
    );
}
