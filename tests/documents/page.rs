//! Markdown, as far as the tests need it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use regex::Regex;

/// Stands on the line before a shell block that a test runs.
pub const RUN: &str = "<!-- run -->";
/// How the line begins that stands before a configuration that a test runs; its name follows.
pub const RECIPE: &str = "<!-- recipe: ";

static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\]\(([^()\s]+)\)|(?:src|srcset|href)="([^"]+)""#).expect("a valid pattern")
});

/// One document, taken apart.
#[derive(Default)]
pub struct Page {
    pub path: String,
    /// All lines but those of code blocks.
    pub prose: Vec<String>,
    pub anchors: BTreeSet<String>,
    /// Headings, tables and code blocks in their order, as both languages should have them.
    pub parts: Vec<String>,
    pub blocks: Vec<Block>,
    /// The first cells of all rows of tables.
    pub subjects: Vec<String>,
    pub lines: usize,
}

pub struct Block {
    pub language: String,
    pub code: String,
    /// The line before it.
    pub mark: String,
}

impl Block {
    /// Whether it is part of a script that a test runs.
    pub fn runs(&self) -> bool {
        self.mark == RUN
    }

    /// The name of a marked configuration.
    pub fn recipe(&self) -> Option<&str> {
        self.mark.strip_prefix(RECIPE)?.strip_suffix(" -->")
    }
}

/// All documents.
pub fn pages() -> Vec<Page> {
    let mut paths = BTreeSet::new();
    for folder in [".", "docs", "docs/zh-CN", "benches", "fuzz"] {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.extension().is_some_and(|extension| extension == "md") {
                paths.insert(entry.to_str().unwrap().trim_start_matches("./").to_owned());
            }
        }
    }
    assert!(paths.len() > 25, "the documents are where this test looks for them: {paths:?}");
    paths.into_iter().map(Page::read).collect()
}

impl Page {
    fn read(path: String) -> Page {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        let mut page = Page { path, lines, ..Page::default() };
        let (mut block, mut table): (Option<Block>, _) = (None, Vec::new());
        for line in text.lines().chain([""]) {
            match (block.take(), line.trim_start().strip_prefix("```")) {
                (None, Some(language)) => {
                    let mark = page.prose.last().cloned().unwrap_or_default();
                    block =
                        Some(Block { language: language.to_owned(), code: String::new(), mark });
                }
                (Some(done), Some(_)) => {
                    page.parts.push(common(&done));
                    page.blocks.push(done);
                }
                (Some(Block { language, code, mark }), None) => {
                    block = Some(Block { language, code: format!("{code}{line}\n"), mark });
                }
                (None, None) => page.line(line, &mut table),
            }
        }
        assert!(block.is_none(), "{}: a code block has no end", page.path);
        page
    }

    fn line(&mut self, line: &str, table: &mut Vec<Vec<String>>) {
        self.prose.push(line.to_owned());
        if let Some(row) = line.strip_prefix('|') {
            table.push(cells(row));
        } else if !table.is_empty() {
            let columns = table[0].len();
            for row in table.iter() {
                assert_eq!(row.len(), columns, "{}: a row with other columns: {row:?}", self.path);
            }
            let subjects: Vec<_> = table.drain(..).map(|mut row| row.swap_remove(0)).collect();
            let names: Vec<_> = subjects.iter().map(|cell| shared(cell)).collect();
            self.parts.push(format!("table, {columns} columns, {} rows: {names:?}", names.len()));
            self.subjects.extend(subjects);
        }
        let level = line.len() - line.trim_start_matches('#').len();
        if let (1..=6, Some(heading)) = (level, line[level..].strip_prefix(' ')) {
            self.parts.push(format!("heading {level}"));
            let (slug, mut number) = (slug(heading), 0);
            let mut anchor = slug.clone();
            while !self.anchors.insert(anchor) {
                number += 1;
                anchor = format!("{slug}-{number}");
            }
        }
    }

    /// The targets of its links and pictures; code is none.
    pub fn links(&self) -> Vec<String> {
        let text = self.prose.join("\n");
        let text: String = text.split('`').step_by(2).collect();
        let found = LINK.captures_iter(&text);
        found.map(|found| found.get(1).or(found.get(2)).unwrap().as_str().to_owned()).collect()
    }
}

/// The cells of a table's row, whose first bar is gone; a bar behind a backslash is text.
fn cells(row: &str) -> Vec<String> {
    let row = row.replace("\\|", "¦");
    row.trim_end().trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The pieces of code in a cell.
pub fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Those that are the same in all languages.
fn shared(cell: &str) -> BTreeSet<&str> {
    code(cell).filter(|code| code.is_ascii()).collect()
}

/// GitHub's anchor of a heading.
fn slug(heading: &str) -> String {
    assert!(!heading.contains("]("), "a heading has no link: {heading}");
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// A block without its comments: what both languages share. Drawings and log lines are in words.
fn common(block: &Block) -> String {
    let mark = match block.language.as_str() {
        "text" => return "text block".to_owned(),
        "json" | "js" => "//",
        _ => "#",
    };
    let mut shared = format!("{} block", block.language);
    for line in block.code.lines() {
        let is_comment = |at: usize| at == 0 || line[..at].ends_with(char::is_whitespace);
        let comment = line.match_indices(mark).map(|(at, _)| at).find(|at| is_comment(*at));
        let code = line[..comment.unwrap_or(line.len())].trim_end();
        if !code.is_empty() {
            shared += &format!("\n{code}");
        }
    }
    shared
}

/// Whether a page is for readers of Chinese.
pub fn is_chinese(path: &str) -> bool {
    path.contains("zh-CN")
}

/// The same page in the other language; `None` where there is only one.
pub fn twin(path: &str) -> Option<String> {
    match path {
        "README.md" => Some("README.zh-CN.md".to_owned()),
        "README.zh-CN.md" => Some("README.md".to_owned()),
        _ => path.strip_prefix("docs/").filter(|name| name.ends_with(".md")).map(|name| {
            let english = name.strip_prefix("zh-CN/").map(|name| format!("docs/{name}"));
            english.unwrap_or_else(|| format!("docs/zh-CN/{name}"))
        }),
    }
}
