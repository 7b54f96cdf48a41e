//! The JSON Schema, printed as it stands in the repository.

use super::*;
use crate::config::tree::Tree;
use crate::config::value::SIZE_BYTES_MAX;

/// Columns of a line; one more is for the comma.
const WIDTH: usize = 80;

#[test]
fn the_schema_is_that_of_the_table() {
    agrees("src/config/schema.json", |text| {
        let tree = Tree::parse(text, text).expect("JSON");
        let text = of_file(|table| table.object(&tree, 0));
        let tree = Tree::parse(&text, &text).expect("JSON");
        pretty(&tree, 0, 0, 0, 0) + "\n"
    });
}

impl<T> Table<'_, T> {
    /// An object's schema with `required` and `properties` of the table, all else as it was.
    fn object(&self, tree: &Tree<'_>, at: usize) -> String {
        let entry = |(name, at): (&str, usize)| match name {
            "\"required\"" => {
                let required = self.keys.iter().filter(|key| is_expected(key));
                let names: Vec<_> = required.map(|key| json_string(key.name)).collect();
                format!("{name}: [{}]", names.join(", "))
            }
            "\"properties\"" => format!("{name}: {{{}}}", self.properties(tree, at)),
            "\"$defs\"" => format!("{name}: {{{}}}", definitions(tree, at)),
            _ => format!("{name}: {}", flat(tree, at)),
        };
        let entries: Vec<_> = entries(tree, at).map(entry).collect();
        format!("{{{}}}", entries.join(", "))
    }

    /// In the order that they have; new ones at the end.
    fn properties(&self, tree: &Tree<'_>, at: usize) -> String {
        let names: Vec<_> = entries(tree, at).map(|(name, _)| name.trim_matches('"')).collect();
        let rules: Vec<_> =
            in_order(self.keys, &names).into_iter().map(|key| self.property(key)).collect();
        rules.join(", ")
    }

    fn property(&self, key: &Key<T>) -> String {
        let default = default_json(key, self.defaults);
        let default = default.map(|json| format!(", \"default\": {json}")).unwrap_or_default();
        let number = |kind: &str, minimum: String, maximum: u64| {
            format!("\"type\": [\"{kind}\", \"null\"], {minimum}, \"maximum\": {maximum}{default}")
        };
        let rule = match key.doc.kind {
            _ if !key.doc.rule.is_empty() || key.name == "$schema" => key.doc.rule.to_owned(),
            Kind::Integer(min, max) => number("integer", format!("\"minimum\": {min}"), max),
            Kind::Size => number("integer", "\"minimum\": 1".to_owned(), SIZE_BYTES_MAX),
            Kind::Seconds => number("number", "\"exclusiveMinimum\": 0".to_owned(), 31_536_000),
            Kind::SecondsOrZero => number("number", "\"minimum\": 0".to_owned(), 31_536_000),
            Kind::Boolean => format!("\"type\": [\"boolean\", \"null\"]{default}"),
            Kind::SwitchOrUrl => format!("\"type\": [\"boolean\", \"string\", \"null\"]{default}"),
            Kind::Text(_) | Kind::Word => format!("\"type\": [\"string\", \"null\"]{default}"),
            Kind::List(_) => format!(
                "\"type\": [\"array\", \"null\"]{default}, \
                 \"items\": {{\"type\": \"string\", \"minLength\": 1}}"
            ),
            Kind::Lines(_) | Kind::StringOrList | Kind::Mixed | Kind::Targets | Kind::Named => {
                panic!("{}: what is inside? Give its row a rule", key.name)
            }
        };
        let rule = if rule.is_empty() { rule } else { format!(", {rule}") };
        format!("\"{}\": {{\"description\": {}{rule}}}", key.name, json_string(&plain(key)))
    }
}

fn definitions(tree: &Tree<'_>, at: usize) -> String {
    let definition = |(name, at)| match name {
        "\"provider\"" => format!("{name}: {}", of_provider(|table| table.object(tree, at))),
        "\"alias\"" => format!("{name}: {}", of_alias(|table| table.object(tree, at))),
        _ => format!("{name}: {}", flat(tree, at)),
    };
    entries(tree, at).map(definition).collect::<Vec<_>>().join(", ")
}

fn entries<'a>(tree: &'a Tree<'a>, at: usize) -> impl Iterator<Item = (&'a str, usize)> + 'a {
    let places: Vec<_> = tree.inside(at).collect();
    let entries: Vec<_> = places.chunks(2).map(|pair| (tree.json(pair[0]), pair[1])).collect();
    entries.into_iter()
}

/// A value on one line.
fn flat(tree: &Tree<'_>, at: usize) -> String {
    match tree.json(at) {
        "{" if tree.inside(at).next().is_none() => "{}".to_owned(),
        "{" => {
            let entry = |(name, at)| format!("{name}: {}", flat(tree, at));
            format!("{{ {} }}", entries(tree, at).map(entry).collect::<Vec<_>>().join(", "))
        }
        "[" => {
            let elements: Vec<_> = tree.inside(at).map(|at| flat(tree, at)).collect();
            format!("[{}]", elements.join(", "))
        }
        scalar => scalar.to_owned(),
    }
}

/// A value on one line if it fits behind `before` columns, but for the objects that have a name
/// in `properties` or `$defs`.
fn pretty(tree: &Tree<'_>, at: usize, indent: usize, before: usize, named: usize) -> String {
    let line = flat(tree, at);
    let is_object = tree.json(at) == "{";
    // An object of one string gains nothing from lines of its own.
    let is_pair =
        tree.inside(at).collect::<Vec<_>>() == [at + 1, at + 2] && tree.inside(at + 2).count() == 0;
    let fits = before + line.chars().count() < WIDTH || is_pair;
    if (fits && !(is_object && named > 0)) || !(is_object || tree.json(at) == "[") {
        return line;
    }
    let margin = " ".repeat(indent + 2);
    let inner = |prefix: &str, at, named| {
        let before = indent + 2 + prefix.chars().count();
        format!("{margin}{prefix}{}", pretty(tree, at, indent + 2, before, named))
    };
    let (open, close, inside): (_, _, Vec<_>) = if is_object {
        let entry = |(name, at)| {
            let holds_named = ["\"properties\"", "\"$defs\""].contains(&name);
            let named = if holds_named { 2 } else { usize::from(named == 2) };
            inner(&format!("{name}: "), at, named)
        };
        ('{', '}', entries(tree, at).map(entry).collect())
    } else {
        ('[', ']', tree.inside(at).map(|at| inner("", at, 0)).collect())
    };
    format!("{open}\n{}\n{}{close}", inside.join(",\n"), " ".repeat(indent))
}
