package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Page is one Markdown file.
type Page struct {
	Path   string // from the root of the repository
	Text   string
	Blocks []Block
}

// Block is a fenced block of code.
type Block struct {
	Line int    // of its first line in the file
	Info string // what follows the fence: "yaml", "sh e2e"
	Text string
}

// The meanings of Block.Info.
const (
	Manifest = "yaml"
	Command  = "sh"
	Run      = "sh e2e"
	Output   = "text"
)

// Read reads all pages of the repository at root.
func Read(root string) ([]Page, error) {
	paths := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, fmt.Errorf("read the pages: %w", err)
		}
		for _, path := range found {
			paths = append(paths, strings.TrimPrefix(path, filepath.Clean(root)+"/"))
		}
	}
	pages := make([]Page, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return nil, fmt.Errorf("read the pages: %w", err)
		}
		pages[i] = Page{Path: path, Text: string(text), Blocks: blocksOf(string(text))}
	}
	return pages, nil
}

var fence = regexp.MustCompile("(?ms)^ *```([^\n]*)\n(.*?)^ *```$")

func blocksOf(text string) []Block {
	var blocks []Block
	for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
		blocks = append(blocks, Block{
			Line: strings.Count(text[:at[4]], "\n") + 1, Info: strings.TrimSpace(text[at[2]:at[3]]), Text: text[at[4]:at[5]],
		})
	}
	return blocks
}

// Prose is the page without its blocks.
func (p Page) Prose() string { return fence.ReplaceAllString(p.Text, "") }

// Missing returns the lines of want that are in no line of got: "…" stands for anything, one blank for any number.
func Missing(want, got string) []string {
	var missing []string
	for line := range strings.Lines(want) {
		fields := strings.Fields(regexp.QuoteMeta(line))
		pattern := strings.ReplaceAll(strings.Join(fields, `\s+`), "…", ".*")
		if !regexp.MustCompile(pattern).MatchString(got) {
			missing = append(missing, strings.TrimSpace(line))
		}
	}
	return missing
}
