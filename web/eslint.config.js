import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'

export default defineConfig(
  { ignores: ['**/dist/**', '**/node_modules/**', '**/target/**'] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // Numbers in a template are what formatting is made of.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // `_` is what is passed over.
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_$', argsIgnorePattern: '^_$' }],
      // `for (let i = 0; …)` over typed arrays is the hot path of this page.
      '@typescript-eslint/prefer-for-of': 'off',
    },
  },
  // Plain JavaScript is checked by tsc through its JSDoc.
  { files: ['**/*.js'], ...tseslint.configs.disableTypeChecked },
)
