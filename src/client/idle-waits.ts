/**
 * Who waits until nothing is in hand?
 */
export class IdleWaits {
  #looks: (() => void)[] = []

  /** Looks whether what is waited for is so now. */
  look(): void {
    for (const look of this.#looks) look()
  }

  /** Resolves when `isSo` is true at one of the looks. */
  when(isSo: () => boolean): Promise<void> {
    if (isSo()) return Promise.resolve()
    return new Promise((resolve) => {
      this.#looks.push(() => {
        if (isSo()) resolve()
      })
    })
  }
}
