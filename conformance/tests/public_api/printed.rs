//! Items as others see them: without bodies, private fields and documentation.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Field, Fields, FnArg, ImplItem, Item, ItemImpl, ItemMacro, Pat, PatType, Signature,
    TraitItem, Visibility, parse_quote,
};

use crate::source::{is_hidden, is_public};

/// The name that stands for all private fields.
pub(crate) const PRIVATE: &str = "__private";

/// Attributes that are part of the promise. All others are for readers and for the compiler.
const KEPT: [&str; 9] = [
    "async_trait",
    "cfg",
    "deprecated",
    "derive",
    "macro_export",
    "must_use",
    "non_exhaustive",
    "repr",
    "serde",
];

/// Whether a macro makes items that others see: something public, or an implementation.
pub(crate) fn makes_something(definition: &TokenStream) -> bool {
    let mut trees = definition.clone().into_iter().peekable();
    let mut begins_an_item = true;
    while let Some(tree) = trees.next() {
        let found = match &tree {
            TokenTree::Ident(word) if word == "impl" => begins_an_item,
            TokenTree::Ident(word) if word == "pub" => !matches!(
                trees.peek(),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis
            ),
            TokenTree::Group(group) => makes_something(&group.stream()),
            _ => false,
        };
        if found {
            return true;
        }
        begins_an_item = matches!(tree, TokenTree::Group(_));
    }
    false
}

/// A macro or its call without what is there for readers.
pub(crate) fn undocumented(item: &ItemMacro) -> ItemMacro {
    let mut item = item.clone();
    item.attrs = kept(&item.attrs);
    item.mac.tokens = without_docs(item.mac.tokens);
    item
}

/// Code without `#[doc = ..]`, as `///` is one.
fn without_docs(tokens: TokenStream) -> TokenStream {
    let mut trees = tokens.into_iter().peekable();
    let mut kept = TokenStream::new();
    while let Some(tree) = trees.next() {
        match (&tree, trees.peek()) {
            (TokenTree::Punct(punct), Some(TokenTree::Group(group)))
                if punct.as_char() == '#' && begins_with(group, "doc") =>
            {
                trees.next();
            }
            (TokenTree::Group(group), _) => {
                let inner = without_docs(group.stream());
                kept.extend([TokenTree::from(Group::new(group.delimiter(), inner))]);
            }
            _ => kept.extend([tree]),
        }
    }
    kept
}

fn begins_with(group: &Group, ident: &str) -> bool {
    matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(first)) if first == ident)
}

pub(crate) fn is_exported(attr: &Attribute) -> bool {
    attr.path().is_ident("macro_export")
}

pub(crate) fn vis(item: &Item) -> Option<&Visibility> {
    Some(match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Union(item) => &item.vis,
        _ => return None,
    })
}

pub(crate) fn kept(attrs: &[Attribute]) -> Vec<Attribute> {
    let is_kept = |attr: &&Attribute| KEPT.iter().any(|kept| attr.path().is_ident(kept));
    attrs.iter().filter(is_kept).cloned().collect()
}

/// An item under the name that others know, without what they do not see.
pub(crate) fn stripped(item: &Item, name: &str, cfg: &[Attribute]) -> Item {
    let kept = |attrs: &[Attribute]| [cfg, &kept(attrs)].concat();
    let ident = format_ident!("{name}");
    match item.clone() {
        Item::Const(mut item) => {
            item.attrs = kept(&item.attrs);
            item.ident = ident;
            Item::Const(item)
        }
        Item::Enum(mut item) => {
            item.attrs = kept(&item.attrs);
            item.ident = ident;
            for variant in &mut item.variants {
                variant.attrs = self::kept(&variant.attrs);
                for field in &mut variant.fields {
                    field.attrs = self::kept(&field.attrs);
                }
            }
            Item::Enum(item)
        }
        Item::Fn(item) => {
            let attrs = kept(&item.attrs);
            let sig = Signature {
                ident,
                ..seen(item.sig)
            };
            Item::Verbatim(quote!(#(#attrs)* pub #sig;))
        }
        // What may be written in a call: the arms but for those that the macro calls itself.
        Item::Macro(mut item) => {
            item.attrs = kept(&item.attrs);
            item.mac.tokens = arms(item.mac.tokens);
            Item::Macro(item)
        }
        Item::Static(mut item) => {
            item.attrs = kept(&item.attrs);
            item.ident = ident;
            Item::Static(item)
        }
        Item::Struct(mut item) => {
            item.attrs = kept(&item.attrs);
            item.ident = ident;
            hide_private(&mut item.fields);
            Item::Struct(item)
        }
        Item::Trait(mut item) => {
            item.attrs = kept(&item.attrs);
            item.ident = ident;
            item.items = item
                .items
                .into_iter()
                .filter_map(stripped_of_trait)
                .collect();
            item.items
                .sort_by_key(|item| name_within(&item.to_token_stream()));
            Item::Trait(item)
        }
        Item::Type(mut item) => {
            item.attrs = kept(&item.attrs);
            item.ident = ident;
            Item::Type(item)
        }
        other => panic!(
            "an item of a kind that is not printed yet: {}",
            quote!(#other)
        ),
    }
}

/// Whether a trait's item has a default is told: by `{}`, or by its value.
fn stripped_of_trait(item: TraitItem) -> Option<TraitItem> {
    match item {
        TraitItem::Fn(mut item) if !is_hidden(&item.attrs) => {
            item.attrs = kept(&item.attrs);
            item.sig = seen(item.sig);
            item.default = item.default.map(|_| parse_quote!({}));
            Some(TraitItem::Fn(item))
        }
        TraitItem::Const(mut item) if !is_hidden(&item.attrs) => {
            item.attrs = kept(&item.attrs);
            Some(TraitItem::Const(item))
        }
        TraitItem::Type(mut item) if !is_hidden(&item.attrs) => {
            item.attrs = kept(&item.attrs);
            Some(TraitItem::Type(item))
        }
        _ => None,
    }
}

/// Named private fields become one; those of a tuple keep their places, without their types.
fn hide_private(fields: &mut Fields) {
    let strip = |mut field: Field| {
        field.attrs = kept(&field.attrs);
        field
    };
    match fields {
        Fields::Named(named) => {
            let all = std::mem::take(&mut named.named);
            let count = all.len();
            let public = all.into_iter().filter(|field| is_public(&field.vis));
            let mut public: Punctuated<_, _> = public.map(strip).collect();
            if public.len() < count {
                let private = format_ident!("{PRIVATE}");
                public.push(parse_quote!(#private: ()));
            }
            named.named = public;
        }
        Fields::Unnamed(unnamed) => {
            for field in &mut unnamed.unnamed {
                *field = match is_public(&field.vis) {
                    true => strip(field.clone()),
                    false => parse_quote!(_),
                };
            }
        }
        Fields::Unit => {}
    }
}

pub(crate) fn bare_impl(written: &ItemImpl) -> ItemImpl {
    let mut attrs = written.attrs.clone();
    attrs.retain(|attr| attr.path().is_ident("cfg"));
    ItemImpl {
        attrs,
        items: Vec::new(),
        ..written.clone()
    }
}

/// What others see of an item of an implementation.
pub(crate) fn signature_of(item: &ImplItem) -> Option<ImplItem> {
    match item {
        ImplItem::Fn(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => {
            let (attrs, sig) = (kept(&item.attrs), seen(item.sig.clone()));
            Some(ImplItem::Verbatim(quote!(#(#attrs)* pub #sig;)))
        }
        ImplItem::Const(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => {
            let attrs = kept(&item.attrs);
            Some(ImplItem::Const(syn::ImplItemConst {
                attrs,
                ..item.clone()
            }))
        }
        _ => None,
    }
}

/// A signature without `mut` before its arguments, which is the body's affair.
fn seen(mut sig: Signature) -> Signature {
    for input in &mut sig.inputs {
        match input {
            FnArg::Receiver(of) if of.reference.is_none() => of.mutability = None,
            FnArg::Typed(PatType { pat, .. }) => {
                if let Pat::Ident(pat) = &mut **pat {
                    pat.mutability = None;
                }
            }
            FnArg::Receiver(_) => {}
        }
    }
    sig
}

/// What an item of a trait or implementation is called: what follows `fn`, `const` or `type`.
pub(crate) fn name_within(item: &TokenStream) -> String {
    let words = item.clone().into_iter().filter_map(|tree| match tree {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    });
    let is_kind = |word: &String| matches!(word.as_str(), "fn" | "const" | "type");
    let mut named = words.skip_while(|word| !is_kind(word)).skip_while(is_kind);
    named
        .find(|word| word != "unsafe" && word != "extern")
        .unwrap_or_default()
}

/// The arms of a macro without what they become.
fn arms(tokens: TokenStream) -> TokenStream {
    let mut kept = TokenStream::new();
    let mut trees = tokens.into_iter();
    while let Some(TokenTree::Group(matcher)) = trees.next() {
        // `=> { .. };`
        trees.by_ref().take(4).for_each(drop);
        let tokens = without_docs(matcher.stream());
        kept.extend(quote!((#tokens) => {};));
    }
    kept
}

pub(crate) fn a_use(cfg: &[Attribute], path: &str) -> Item {
    let path: TokenStream = path.parse().expect("a path");
    parse_quote!(#(#cfg)* pub use #path;)
}
