/** The steps of a tutorial in Markdown, in the order in which a reader takes them. */
export type TutorialPart =
  /** A block of code whose first line is a comment with the name of a file. */
  | { readonly kind: 'file'; readonly path: string; readonly text: string }
  /** A block of `sh`, one command a line. */
  | { readonly kind: 'commands'; readonly commands: readonly string[] }
  /** A block of text: what is printed. */
  | { readonly kind: 'text'; readonly text: string }

const BLOCKS = /^```(js|sh|text)\n([\s\S]*?)^```$/gm
const FILE_NAME = /^\/\/ (\S+)\n/

/** @throws Error for a block of code that does not say which file it is. */
export function tutorialOf(markdown: string): TutorialPart[] {
  return [...markdown.matchAll(BLOCKS)].map(([, language, text]): TutorialPart => {
    if (language === 'text') return { kind: 'text', text: text! }
    if (language === 'sh') return { kind: 'commands', commands: text!.trimEnd().split('\n') }
    const path = FILE_NAME.exec(text!)?.[1]
    if (path === undefined) throw new Error(`a block does not begin with its name: ${text}`)
    return { kind: 'file', path, text: text! }
  })
}
