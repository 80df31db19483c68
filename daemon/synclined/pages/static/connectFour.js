/**
 * The rules of connect four: pure. A game is the list of the columns that were played, 0 to 6.
 *
 * @module
 */

export const COLUMNS = 7;
export const ROWS = 6;
const DIRECTIONS = [[1, 0], [0, 1], [1, 1], [1, -1]];

/** Return the board, a side or null by column and height. */
export function boardOf(moves) {
  const board = Array.from({ length: COLUMNS }, () => []);
  moves.forEach((column, ply) => {
    if (board[column]?.length < ROWS) board[column].push(ply % 2);
  });
  return board;
}

/** Return the cells, `"column,row"`, of the four or more that the last move completed. */
export function winningCells(moves) {
  const board = boardOf(moves);
  const column = moves.at(-1);
  const cells = new Set();
  if (column === undefined) return cells;
  const row = board[column].length - 1;
  const side = board[column][row];
  const has = (c, r) => board[c]?.[r] === side;
  for (const [right, up] of DIRECTIONS) {
    const line = [[column, row]];
    for (const sign of [1, -1]) {
      for (let n = 1; has(column + sign * right * n, row + sign * up * n); n += 1) {
        line.push([column + sign * right * n, row + sign * up * n]);
      }
    }
    if (line.length >= 4) for (const cell of line) cells.add(cell.join());
  }
  return cells;
}

/** Say whether a column may be played. */
export function isOpen(moves, column) {
  return winningCells(moves).size === 0 && boardOf(moves)[column].length < ROWS;
}
