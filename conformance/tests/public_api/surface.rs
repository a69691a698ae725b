//! What others see of a crate, printed as Rust without bodies.
//!
//! Names, signatures, public fields, variants, derived and written traits, and the attributes that callers or their
//! data depend on. Sorted by name, so that code which only moves changes nothing. Types stand as they are written.
//! What a macro makes is shown by the macro and its calls.

use std::collections::{BTreeMap, BTreeSet};

use quote::{ToTokens, format_ident};
use syn::{
    Attribute, GenericArgument, ImplItem, Item, ItemImpl, ItemMacro, ItemUse, Path, PathArguments,
    Type, parse_quote,
};

use crate::printed::{
    PRIVATE, a_use, bare_impl, is_exported, kept, makes_something, name_within, signature_of,
    stripped, undocumented, vis,
};
use crate::source::{Meaning, Place, Source, attrs, has, imports, is_hidden, is_public, name};

/// The public items of a crate.
pub(crate) fn surface(source: &Source) -> String {
    let mut surface = Surface {
        source,
        exports: Vec::new(),
        modules: BTreeMap::new(),
    };
    surface.visit(0, &[], &[]);
    surface.exported_macros();
    let file = syn::File {
        shebang: None,
        attrs: Vec::new(),
        items: surface.items(),
    };
    let text = prettyplease::unparse(&file);
    text.replace(&format!("{PRIVATE}: (),"), "// and private ones")
}

struct Surface<'a> {
    source: &'a Source,
    exports: Vec<Export>,
    /// The attributes of public modules, by path.
    modules: BTreeMap<Vec<String>, Vec<Attribute>>,
}

/// A name that others see.
struct Export {
    /// The module that it is seen in.
    at: Vec<String>,
    name: String,
    /// Conditions of the `use` that brings it.
    cfg: Vec<Attribute>,
    what: What,
}

enum What {
    Item(Place),
    Made,
    /// Of another crate.
    Foreign(String),
}

/// Where an item is printed: the shortest path to it. Its other names lead there.
type Home<'a> = (usize, &'a [String], &'a str);

/// What is printed in each module, by name.
type Contents<'a> = BTreeMap<&'a [String], BTreeMap<(&'a str, usize), Vec<Item>>>;

impl Surface<'_> {
    fn visit(&mut self, module: usize, at: &[String], cfg: &[Attribute]) {
        let content = &self.source.modules[module];
        for (number, item) in content.items.iter().enumerate() {
            match item {
                item if is_hidden(attrs(item)) => {}
                Item::Use(item) if is_public(&item.vis) => self.visit_use(module, item, at),
                item => {
                    if let Some(name) = name(item)
                        && vis(item).is_some_and(is_public)
                    {
                        self.export(at, name, cfg, What::Item((module, number)));
                    }
                }
            }
        }
        let children = content.children.iter();
        for child in children.filter(|child| child.is_public && !is_hidden(&child.attrs)) {
            self.visit_module(child.module, at, &child.name, kept(&child.attrs));
        }
    }

    fn visit_module(&mut self, module: usize, at: &[String], name: &str, attrs: Vec<Attribute>) {
        let at = [at, &[name.to_owned()]].concat();
        self.modules.insert(at.clone(), attrs);
        self.visit(module, &at, &[]);
    }

    fn visit_use(&mut self, module: usize, item: &ItemUse, at: &[String]) {
        let cfg = kept(&item.attrs);
        for import in imports(&item.tree) {
            let path = import.path.join("::");
            let meanings = self.source.meanings(module, &import.path);
            let Some(name) = import.name else {
                match meanings.first() {
                    Some(Meaning::Module(all)) => self.visit(*all, at, &cfg),
                    _ => self.export(at, "*".into(), &cfg, What::Foreign(format!("{path}::*"))),
                }
                continue;
            };
            if meanings.is_empty() {
                let is_foreign = self.source.meanings(module, &import.path[..1]).is_empty();
                assert!(is_foreign, "nothing is found under `pub use {path}`");
                let foreign = match import.path.last() == Some(&name) {
                    true => path,
                    false => format!("{path} as {name}"),
                };
                self.export(at, name, &cfg, What::Foreign(foreign));
                continue;
            }
            for meaning in meanings {
                match meaning {
                    Meaning::Module(module) => self.visit_module(module, at, &name, cfg.clone()),
                    Meaning::Made => self.export(at, name.clone(), &cfg, What::Made),
                    Meaning::Item(place) => {
                        let item = self.source.item(place);
                        if vis(item).is_some_and(is_public) && !is_hidden(attrs(item)) {
                            self.export(at, name.clone(), &cfg, What::Item(place));
                        }
                    }
                }
            }
        }
    }

    fn export(&mut self, at: &[String], name: String, cfg: &[Attribute], what: What) {
        self.exports.push(Export {
            at: at.to_vec(),
            name,
            cfg: cfg.to_vec(),
            what,
        });
    }

    /// They are seen at the root, wherever they are written.
    fn exported_macros(&mut self) {
        for (place, item) in self.source.items() {
            if let Item::Macro(made) = item
                && let Some(name) = &made.ident
                && made.attrs.iter().any(is_exported)
                && !is_hidden(&made.attrs)
            {
                self.export(&[], name.to_string(), &[], What::Item(place));
            }
        }
    }

    fn items(&self) -> Vec<Item> {
        let homes = self.homes();
        let mut implementations = self.implementations(&homes);
        let mut contents = Contents::from([(&[][..], BTreeMap::new())]);
        for at in self.modules.keys() {
            contents.insert(at, BTreeMap::new());
        }
        for (number, export) in self.exports.iter().enumerate() {
            let Export {
                at,
                name,
                cfg,
                what,
            } = export;
            let items = match what {
                What::Foreign(path) => vec![a_use(cfg, path)],
                What::Made => vec![a_use(cfg, &format!("made::{name}"))],
                What::Item(place) if (homes[place].1, homes[place].2) != (&**at, &**name) => {
                    let (_, at, name) = homes[place];
                    let at: String = at.iter().map(|module| format!("{module}::")).collect();
                    vec![a_use(cfg, &format!("crate::{at}{name}"))]
                }
                What::Item(place) => match implementations.remove(&Some(*place)) {
                    Some(of) => [vec![stripped(self.source.item(*place), name, cfg)], of].concat(),
                    // Brought here twice.
                    None => Vec::new(),
                },
            };
            let content = contents.get_mut(&**at).expect("a module that was visited");
            content.insert((name, number), items);
        }
        let mut items = nested(&contents, &self.modules, &[]);
        items.extend(implementations.remove(&None).unwrap_or_default());
        items.extend(self.made());
        items
    }

    fn homes(&self) -> BTreeMap<Place, Home<'_>> {
        let mut homes: BTreeMap<Place, Home<'_>> = BTreeMap::new();
        for export in &self.exports {
            if let What::Item(place) = export.what {
                let home = (export.at.len(), &*export.at, &*export.name);
                let known = homes.entry(place).or_insert(home);
                *known = home.min(*known);
            }
        }
        homes
    }

    /// The implementations of each public item, and under `None` those that are of no item of this crate.
    fn implementations(
        &self,
        homes: &BTreeMap<Place, Home<'_>>,
    ) -> BTreeMap<Option<Place>, Vec<Item>> {
        let mut inherent: BTreeMap<(Option<Place>, String), ItemImpl> = BTreeMap::new();
        let mut of_traits: BTreeMap<(Option<Place>, String), Item> = BTreeMap::new();
        for ((module, _), item) in self.source.items() {
            let Item::Impl(written) = item else { continue };
            let of = self.item_of_type(module, &written.self_ty);
            if is_hidden(&written.attrs) || of.is_some_and(|of| !homes.contains_key(&of)) {
                continue;
            }
            let mut bare = bare_impl(written);
            if let Some((_, of_trait, _)) = &written.trait_ {
                let is_private = |items: &[Place]| {
                    !items.is_empty() && items.iter().all(|of| !homes.contains_key(of))
                };
                let mut named = [vec![of_trait], arguments(of_trait)].concat().into_iter();
                if named.any(|path| is_private(&self.items_of_path(module, path))) {
                    continue;
                }
                let types = written.items.iter();
                let types = types.filter(|item| matches!(item, ImplItem::Type(_)));
                bare.items = types.cloned().collect();
                let key = (of, bare.to_token_stream().to_string());
                of_traits.insert(key, Item::Impl(bare));
            } else {
                let key = (of, bare.to_token_stream().to_string());
                let all = inherent.entry(key).or_insert(bare);
                all.items
                    .extend(written.items.iter().filter_map(signature_of));
            }
        }
        let none = homes.keys().map(|place| (Some(*place), Vec::new()));
        let mut all: BTreeMap<Option<Place>, Vec<Item>> = none.collect();
        for ((of, _), mut written) in inherent {
            written
                .items
                .sort_by_key(|item| name_within(&item.to_token_stream()));
            if !written.items.is_empty() {
                all.entry(of).or_default().push(Item::Impl(written));
            }
        }
        for ((of, _), written) in of_traits {
            all.entry(of).or_default().push(written);
        }
        all
    }

    fn item_of_type(&self, module: usize, of: &Type) -> Option<Place> {
        match of {
            Type::Path(path) => self.items_of_path(module, &path.path).first().copied(),
            _ => None,
        }
    }

    /// The items of this crate that a path names.
    fn items_of_path(&self, module: usize, path: &Path) -> Vec<Place> {
        let segments = path.segments.iter();
        let path: Vec<String> = segments.map(|segment| segment.ident.to_string()).collect();
        let meanings = self.source.meanings(module, &path).into_iter();
        let items = meanings.filter_map(|meaning| match meaning {
            Meaning::Item(place) => Some(place),
            _ => None,
        });
        items.collect()
    }

    /// The calls of macros that make what others see, and these macros.
    fn made(&self) -> Vec<Item> {
        let macros = self.source.items().filter_map(|(_, item)| match item {
            Item::Macro(item) if !is_hidden(&item.attrs) => Some(item),
            _ => None,
        });
        let (definitions, calls): (Vec<_>, Vec<_>) =
            macros.partition(|item| item.mac.path.is_ident("macro_rules"));
        let seen: BTreeSet<&str> = self.exports.iter().map(|export| &*export.name).collect();
        let makes_seen = |item: &ItemMacro| seen.iter().any(|name| has(&item.mac.tokens, name));
        let mut shown = BTreeMap::new();
        for call in calls {
            let is_called = |made: &&&ItemMacro| call.mac.path.get_ident() == made.ident.as_ref();
            let Some(made) = definitions.iter().find(is_called) else {
                continue;
            };
            if makes_something(&made.mac.tokens) && (makes_seen(call) || makes_seen(made)) {
                // One that is exported is shown by what may be written in a call of it.
                let private = Some(*made).filter(|made| !made.attrs.iter().any(is_exported));
                for item in [Some(call), private].into_iter().flatten() {
                    let item = undocumented(item);
                    shown.insert(item.to_token_stream().to_string(), Item::Macro(item));
                }
            }
        }
        shown.into_values().collect()
    }
}

/// The types that a trait is implemented for by its arguments: `A` of `From<A>`.
fn arguments(of_trait: &Path) -> Vec<&Path> {
    let segments = of_trait.segments.iter();
    let arguments = segments.filter_map(|segment| match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(arguments.args.iter()),
        _ => None,
    });
    let types = arguments.flatten().filter_map(|argument| match argument {
        GenericArgument::Type(Type::Path(path)) => Some(&path.path),
        _ => None,
    });
    types.collect()
}

/// The items of a module, and after them its modules.
fn nested(
    contents: &Contents<'_>,
    attrs: &BTreeMap<Vec<String>, Vec<Attribute>>,
    at: &[String],
) -> Vec<Item> {
    let mut items: Vec<Item> = contents[at].values().flatten().cloned().collect();
    for child in contents.keys() {
        if let Some((name, above)) = child.split_last()
            && above == at
        {
            let (name, attrs_of_child) = (format_ident!("{name}"), &attrs[*child]);
            let content = nested(contents, attrs, child);
            items.push(parse_quote!(#(#attrs_of_child)* pub mod #name { #(#content)* }));
        }
    }
    items
}
