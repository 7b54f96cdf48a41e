//! What aliases may lead to, checked when the whole file is read.

use std::collections::HashMap;

use super::{elements, Alias, Name};
use crate::config::node::{shorten, Node};
use crate::config::similar::similar;
use crate::config::{Config, ConfigError, Mistakes, MISTAKES_MAX};
use crate::language::{Text, Words};
use crate::{message, text};

/// Models behind one alias, and aliases among what it leads to.
pub(super) const TARGETS_MAX: usize = 64;
/// Names of a circle that are said.
const CIRCLE_NAMES_MAX: usize = 16;

/// Checks the targets of all aliases; `root` is the file of which `config` was read.
///
/// # Errors
///
/// Targets that lead nowhere, in a circle, or to too many models.
pub(in crate::config) fn check(config: &Config, root: &Node<'_>) -> Result<(), ConfigError> {
    let Some(node) = entry(root, "aliases")?.filter(|node| !node.is_null()) else {
        return Ok(());
    };
    let exact = config.exact_aliases();
    let mut aliases = Aliases { config, exact, edges: Vec::new(), models: Vec::new() };
    let (mut mistakes, nodes) = (Mistakes::default(), node.entries()?);
    let mut models = HashMap::new();
    for (alias, (_, node)) in config.aliases.iter().zip(&nodes) {
        aliases.check_name(alias, node);
        let (mut edges, mut own) = (Vec::new(), Vec::new());
        for (name, node) in targets(node)? {
            match aliases.target(alias, &name) {
                Ok(Some(to)) => edges.push((to, node)),
                Ok(None) => {
                    let new = nodes.len() + models.len();
                    own.push(*models.entry(name).or_insert(new));
                }
                Err(reason) => mistakes.add(node.error(reason)),
            }
        }
        aliases.edges.push(edges);
        aliases.models.push(own);
    }
    mistakes.none()?;
    let inner_first = aliases.walk()?;
    let mut mistakes = Mistakes::default();
    for index in aliases.too_large(&inner_first) {
        mistakes.add(nodes[index].1.error(too_many()));
    }
    mistakes.none()
}

pub(super) fn too_many() -> Text {
    text!("总共不能超过 {TARGETS_MAX} 个目标", "leads to more than {TARGETS_MAX} targets")
}

/// All aliases of a file, by their place in it.
struct Aliases<'a> {
    config: &'a Config,
    /// The places of those that are no patterns.
    exact: HashMap<&'a str, usize>,
    /// Of each alias: which others are its targets, and where that is said.
    edges: Vec<Vec<(usize, Node<'a>)>>,
    /// Of each alias: its other targets, by numbers above those of aliases.
    models: Vec<Vec<usize>>,
}

impl<'a> Aliases<'a> {
    /// What is odd about a name that begins like a model of a provider.
    fn check_name(&self, alias: &Alias, node: &Node<'_>) {
        let Some((provider, _)) = self.config.split_model(&alias.name.text) else { return };
        let name = shorten(&provider.name);
        if alias.name.starred {
            node.warn(message!(
                "永远不会匹配：以 {name}/ 开头的名称属于提供商 {name}",
                "never applies: names with {name}/ are those of the provider {name}"
            ));
        } else {
            node.warn(message!(
                "以提供商 {name} 开头，将优先于该提供商的同名模型",
                "begins like a model of the provider {name}, and comes before it"
            ));
        }
    }

    /// The alias that a target is, if it is one.
    fn target(&self, alias: &Alias, name: &Name) -> Result<Option<usize>, Text> {
        if name.starred && !alias.name.starred {
            return Err(Words(
                "只有名称带 * 的别名，目标才能带 *",
                "may have a * only where the name of the alias has one",
            )
            .into());
        }
        if let Some(index) = self.exact.get(&*name.text).filter(|_| !name.starred) {
            return Ok(Some(*index));
        }
        let form = match name.starred {
            true => Words("必须形如 提供商/*", "must look like provider/*"),
            false => {
                Words("既不是别名，也不是 提供商/模型", "is neither an alias nor provider/model")
            }
        };
        let (before, model) = name.text.split_once('/').ok_or(form)?;
        let Some(provider) = self.config.provider(before) else {
            let names = self.config.providers.iter().map(|provider| &*provider.name);
            return Err(match similar(before, names).map(shorten) {
                Some(name) => text!(
                    "没有这个提供商；是否应为 {name}？",
                    "no such provider; did you mean {name}?"
                ),
                None => Words("没有这个提供商", "no such provider").into(),
            });
        };
        let list = &provider.model_list;
        match () {
            () if name.starred => Ok(None),
            () if model.is_empty() => Err(form.into()),
            () if !list.is_empty() && !list.iter().any(|listed| listed == model) => Err(Words(
                "该提供商的 model_list 中没有这个模型",
                "the model_list of its provider does not have this model",
            )
            .into()),
            () if !self.config.allows(&name.text) => Err(Words(
                "这个模型被 supported_models 过滤",
                "supported_models leaves this model out",
            )
            .into()),
            () => Ok(None),
        }
    }

    /// All aliases, those that are targets before those whose targets they are. Without recursion: a
    /// chain may be as long as the file.
    ///
    /// # Errors
    ///
    /// Circles.
    fn walk(&self) -> Result<Vec<usize>, ConfigError> {
        let (mut mistakes, mut finished) = (Mistakes::default(), Vec::new());
        let (mut is_new, mut is_open) =
            (vec![true; self.edges.len()], vec![false; self.edges.len()]);
        for start in 0..self.edges.len() {
            let mut path = Vec::new();
            if is_new[start] {
                path.push((start, self.edges[start].iter()));
            }
            while let Some((at, edges)) = path.last_mut() {
                let at = *at;
                is_new[at] = false;
                is_open[at] = true;
                match edges.next() {
                    _ if mistakes.is_full() => break,
                    Some((to, node)) if is_open[*to] => {
                        let names = path.iter().map(|(index, _)| *index);
                        let circle = self.circle(names.skip_while(|index| index != to).collect());
                        let reason = message!("别名成环: {circle}", "a circle: {circle}");
                        mistakes.add(node.error(reason));
                    }
                    Some((to, _)) if is_new[*to] => path.push((*to, self.edges[*to].iter())),
                    Some(_) => {}
                    None => {
                        is_open[at] = false;
                        finished.push(at);
                        path.pop();
                    }
                }
            }
        }
        mistakes.none()?;
        Ok(finished)
    }

    fn circle(&self, mut members: Vec<usize>) -> String {
        members.push(members[0]);
        let name = |index: &usize| shorten(&self.config.aliases[*index].name.text);
        let mut names: Vec<_> = members.iter().take(CIRCLE_NAMES_MAX).map(name).collect();
        if members.len() > names.len() {
            names.push("…".to_owned());
        }
        names.join(" → ")
    }

    /// The first that lead to too much. What is behind an alias is known when all of its targets are
    /// counted, and never much: even a nest whose paths double at each step is counted at once.
    fn too_large(&self, inner_first: &[usize]) -> Vec<usize> {
        let count = self.edges.len();
        let mut behind = vec![Vec::new(); count];
        let mut found = Vec::new();
        for at in inner_first {
            let mut all = self.models[*at].clone();
            for (to, _) in &self.edges[*at] {
                all.push(*to);
                all.extend(&behind[*to]);
            }
            all.sort_unstable();
            all.dedup();
            let aliases = all.partition_point(|target| *target < count);
            if aliases.max(all.len() - aliases) > TARGETS_MAX {
                found.push(*at);
                if found.len() == MISTAKES_MAX {
                    break;
                }
            }
            behind[*at] = all;
        }
        found.sort_unstable();
        found
    }
}

/// The targets of an alias, each beside its place.
fn targets<'n>(alias: &Node<'n>) -> Result<Vec<(Name, Node<'n>)>, ConfigError> {
    let list = if alias.is_object() { entry(alias, "targets")? } else { Some(alias.clone()) };
    let Some(list) = list else { return Ok(Vec::new()) };
    let named = |node: Node<'n>| {
        let model = if node.is_object() { entry(&node, "model")? } else { None };
        let node = model.unwrap_or(node);
        Ok((Name::of(&node)?, node))
    };
    elements(&list)?.into_iter().map(named).collect()
}

fn entry<'n>(object: &Node<'n>, name: &str) -> Result<Option<Node<'n>>, ConfigError> {
    Ok(object.entries()?.into_iter().find(|(key, _)| key == name).map(|(_, node)| node))
}
