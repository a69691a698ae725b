//! A crate as its sources say: modules, what is in them, and what a name means in each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, Meta, UseTree, Visibility};

/// Its root is the first module.
pub(crate) struct Source {
    pub(crate) modules: Vec<Module>,
}

pub(crate) struct Module {
    parent: Option<usize>,
    pub(crate) items: Vec<Item>,
    pub(crate) children: Vec<Child>,
}

/// A module in a module.
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) is_public: bool,
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) module: usize,
}

/// Where an item is written: its module, and its place there.
pub(crate) type Place = (usize, usize);

/// What a name means.
#[derive(Clone, Copy)]
pub(crate) enum Meaning {
    Item(Place),
    Module(usize),
    /// What a macro makes.
    Made,
}

/// One name that a `use` brings.
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// `None` for all names of a module.
    pub(crate) name: Option<String>,
}

/// A use of a use of a use ...: more than this is a circle.
const MOST_STEPS: usize = 32;

impl Source {
    /// Reads a crate whose root is `root`. `read` answers what a file holds, where there is one.
    pub(crate) fn read(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut source = Self {
            modules: Vec::new(),
        };
        let items = parse(root, read).unwrap_or_else(|| panic!("{} is not there", root.display()));
        let folder = root.parent().unwrap().to_owned();
        source.add(None, items, &folder, read);
        source
    }

    fn add(
        &mut self,
        parent: Option<usize>,
        items: Vec<Item>,
        folder: &Path,
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> usize {
        let id = self.modules.len();
        self.modules.push(Module {
            parent,
            items: Vec::new(),
            children: Vec::new(),
        });
        for item in items {
            let Item::Mod(module) = item else {
                if !is_for_tests(attrs(&item)) {
                    self.modules[id].items.push(item);
                }
                continue;
            };
            if is_for_tests(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let below = folder.join(&name);
            let items = match module.content {
                Some((_, items)) => items,
                None => {
                    let files = [below.with_extension("rs"), below.join("mod.rs")];
                    let found = files.iter().find_map(|file| parse(file, read));
                    found.unwrap_or_else(|| panic!("no file for the module {}", below.display()))
                }
            };
            let child = Child {
                name,
                is_public: is_public(&module.vis),
                attrs: module.attrs,
                module: self.add(Some(id), items, &below, read),
            };
            self.modules[id].children.push(child);
        }
        id
    }

    /// All items with their places.
    pub(crate) fn items(&self) -> impl Iterator<Item = (Place, &Item)> {
        let modules = self.modules.iter().enumerate();
        modules.flat_map(|(module, content)| {
            let items = content.items.iter().enumerate();
            items.map(move |(place, item)| ((module, place), item))
        })
    }

    pub(crate) fn item(&self, (module, place): Place) -> &Item {
        &self.modules[module].items[place]
    }

    /// What a path means in a module, in all name spaces; nothing, where it lies outside of the crate.
    pub(crate) fn meanings(&self, module: usize, path: &[String]) -> Vec<Meaning> {
        self.follow(module, path, 0)
    }

    fn follow(&self, module: usize, path: &[String], steps: usize) -> Vec<Meaning> {
        let Some((first, rest)) = path.split_first() else {
            return vec![Meaning::Module(module)];
        };
        if steps > MOST_STEPS {
            return Vec::new();
        }
        let parent = self.modules[module].parent;
        match (first.as_str(), parent) {
            ("crate", _) => return self.follow(0, rest, steps + 1),
            ("self", _) => return self.follow(module, rest, steps + 1),
            ("super", Some(parent)) => return self.follow(parent, rest, steps + 1),
            _ => {}
        }
        let named = self.named(module, first, steps + 1);
        if rest.is_empty() {
            return named;
        }
        let modules = named.into_iter().filter_map(|meaning| match meaning {
            Meaning::Module(module) => Some(module),
            _ => None,
        });
        modules
            .flat_map(|module| self.follow(module, rest, steps + 1))
            .collect()
    }

    fn named(&self, module: usize, name: &str, steps: usize) -> Vec<Meaning> {
        let Module {
            items, children, ..
        } = &self.modules[module];
        let children = children.iter().filter(|child| child.name == name);
        let mut found: Vec<_> = children
            .map(|child| Meaning::Module(child.module))
            .collect();
        for (place, item) in items.iter().enumerate() {
            match item {
                Item::Use(item) => {
                    for import in imports(&item.tree) {
                        if import.name.as_deref() == Some(name) {
                            found.extend(self.follow(module, &import.path, steps + 1));
                        } else if import.name.is_none() {
                            for meaning in self.follow(module, &import.path, steps + 1) {
                                if let Meaning::Module(all) = meaning
                                    && all != module
                                {
                                    found.extend(self.named(all, name, steps + 1));
                                }
                            }
                        }
                    }
                }
                item if self::name(item).is_some_and(|own| own == name) => {
                    found.push(Meaning::Item((module, place)));
                }
                _ => {}
            }
        }
        // In a call, or in what a macro of this module says of every call.
        let is_made =
            |item: &Item| matches!(item, Item::Macro(made) if has(&made.mac.tokens, name));
        if found.is_empty() && items.iter().any(is_made) {
            found.push(Meaning::Made);
        }
        found
    }
}

fn parse(path: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Option<Vec<Item>> {
    let text = read(path)?;
    let file = syn::parse_file(&text);
    let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(file.items)
}

/// The sources of a crate on disk.
pub(crate) fn on_disk(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Sources that a test writes down, by path.
pub(crate) fn written(files: &[(&str, &str)]) -> impl Fn(&Path) -> Option<String> + use<> {
    let files: BTreeMap<PathBuf, String> = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
        .collect();
    move |path| files.get(path).cloned()
}

pub(crate) fn imports(tree: &UseTree) -> Vec<Import> {
    fn walk(tree: &UseTree, above: &[String], into: &mut Vec<Import>) {
        let with = |name: &syn::Ident| [above, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => walk(&path.tree, &with(&path.ident), into),
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, above, into)),
            UseTree::Glob(_) => into.push(Import {
                path: above.to_vec(),
                name: None,
            }),
            UseTree::Name(name) if name.ident == "self" => into.push(Import {
                path: above.to_vec(),
                name: above.last().cloned(),
            }),
            UseTree::Name(name) => into.push(Import {
                path: with(&name.ident),
                name: Some(name.ident.to_string()),
            }),
            UseTree::Rename(rename) => into.push(Import {
                path: with(&rename.ident),
                name: Some(rename.rename.to_string()),
            }),
        }
    }
    let mut into = Vec::new();
    walk(tree, &[], &mut into);
    into
}

/// The name of an item, where it has one of its own.
pub(crate) fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

pub(crate) fn attrs(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

pub(crate) fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

fn is_for_tests(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("cfg")
            && matches!(&attr.meta, Meta::List(list) if list.tokens.to_string() == "test")
    })
}

/// `#[doc(hidden)]`.
pub(crate) fn is_hidden(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("doc")
            && matches!(&attr.meta, Meta::List(list) if has(&list.tokens, "hidden"))
    })
}

/// Whether an identifier stands anywhere in a piece of code.
pub(crate) fn has(tokens: &TokenStream, ident: &str) -> bool {
    tokens.to_token_stream().into_iter().any(|tree| match tree {
        TokenTree::Ident(found) => found == ident,
        TokenTree::Group(group) => has(&group.stream(), ident),
        _ => false,
    })
}
